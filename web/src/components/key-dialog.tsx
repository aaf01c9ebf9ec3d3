import { useEffect, useRef } from 'react';
import { dismissKey, keyPrompt, setKey } from '../api/key';
import { useStore } from '../state/store';

/** Asks for an API key when the server wants one. */
export function KeyDialog(): React.JSX.Element {
  const { open, refused } = useStore(keyPrompt);
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (open && dialog.current?.open === false) dialog.current.showModal();
    if (!open) dialog.current?.close();
  }, [open]);
  return (
    <dialog ref={dialog} aria-labelledby="key-title" onClose={() => open && dismissKey()}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          const value = new FormData(event.currentTarget).get('key');
          if (typeof value === 'string' && value.trim() !== '') setKey(value);
        }}
      >
        <h2 id="key-title">API key</h2>
        <p>
          {refused
            ? 'The key was refused: it may be wrong, revoked or expired. Enter another one.'
            : 'This server answers only with an API key. It is kept until this tab is closed.'}
        </p>
        <label className="field block">
          Key
          <input
            name="key"
            type="password"
            autoComplete="off"
            spellCheck={false}
            placeholder="qlk_…"
            required
          />
        </label>
        <p className="hint">
          <code>questlake key create --scope read,query</code> makes one.
        </p>
        <div className="actions">
          <button type="button" className="button" onClick={dismissKey}>
            Not now
          </button>
          <button type="submit" className="button primary">
            Continue
          </button>
        </div>
      </form>
    </dialog>
  );
}
