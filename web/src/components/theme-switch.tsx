import { setTheme, useTheme, type Theme } from '../state/theme';
import { Icon, type IconName } from './icons';

const themes: { id: Theme; label: string; icon: IconName }[] = [
  { id: 'light', label: 'Light', icon: 'sun' },
  { id: 'system', label: 'As the system', icon: 'system' },
  { id: 'dark', label: 'Dark', icon: 'moon' },
];

export function ThemeSwitch(): React.JSX.Element {
  const theme = useTheme();
  return (
    <div className="theme-switch" role="group" aria-label="Theme">
      {themes.map((each) => (
        <button
          key={each.id}
          type="button"
          aria-pressed={theme === each.id}
          aria-label={each.label}
          title={each.label}
          onClick={() => setTheme(each.id)}
        >
          <Icon name={each.icon} size={16} />
        </button>
      ))}
    </div>
  );
}
