import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { Shell } from './components/shell';
import './styles/index.css';

const root = document.getElementById('root');
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <Shell />
    </StrictMode>,
  );
}
