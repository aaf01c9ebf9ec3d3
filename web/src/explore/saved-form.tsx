import { useState } from 'react';
import { textOf } from '../api/rows';
import type { Parameter, SavedQuery } from '../api/types';
import { labelOf } from '../format/column';

interface Props {
  query: SavedQuery;
  given: Record<string, string>;
  busy: boolean;
  onRun: (parameters: Record<string, string>) => void;
  onEdit: ((sql: string) => void) | null;
}

function inputOf(type: string): React.InputHTMLAttributes<HTMLInputElement> {
  const name = type.toLowerCase();
  if (/^(date)$/.test(name)) return { type: 'date' };
  if (name.includes('int')) return { type: 'number', step: 1 };
  if (/decimal|double|float|numeric/.test(name)) return { type: 'number', step: 'any' };
  return { type: 'text' };
}

function Field({
  parameter,
  value,
  onChange,
}: {
  parameter: Parameter;
  value: string;
  onChange: (value: string) => void;
}): React.JSX.Element {
  const isFlag = parameter.type.toLowerCase() === 'boolean';
  return (
    <label className="field block">
      {labelOf(parameter.name)}
      {isFlag ? (
        <select value={value} onChange={(event) => onChange(event.target.value)}>
          <option value="true">true</option>
          <option value="false">false</option>
        </select>
      ) : (
        <input
          {...inputOf(parameter.type)}
          name={parameter.name}
          value={value}
          required={parameter.default === null || parameter.default === undefined}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
      {parameter.description !== null && parameter.description !== undefined && (
        <small>{parameter.description}</small>
      )}
    </label>
  );
}

/** A saved query's parameters as a form. */
export function SavedForm({ query, given, busy, onRun, onEdit }: Props): React.JSX.Element {
  const parameters = query.parameters ?? [];
  const [values, setValues] = useState<Record<string, string>>(() =>
    Object.fromEntries(
      parameters.map((each) => [each.name, given[each.name] ?? textOf(each.default)]),
    ),
  );
  const sql = query.sql;
  return (
    <section className="card" aria-labelledby="saved-title">
      <header className="card-head">
        <div className="card-title">
          <h2 id="saved-title">{query.title ?? labelOf(query.name)}</h2>
          <p>{query.description}</p>
        </div>
      </header>
      <form
        className="card-body"
        onSubmit={(event) => {
          event.preventDefault();
          onRun(values);
        }}
      >
        {parameters.length > 0 && (
          <div className="parameters">
            {parameters.map((parameter) => (
              <Field
                key={parameter.name}
                parameter={parameter}
                value={values[parameter.name] ?? ''}
                onChange={(value) => setValues({ ...values, [parameter.name]: value })}
              />
            ))}
          </div>
        )}
        <div className="editor-bar">
          <button type="submit" className="button primary" disabled={busy}>
            Run
          </button>
          {onEdit !== null && sql !== undefined && (
            <button type="button" className="button" onClick={() => onEdit(sql)}>
              Open in the editor
            </button>
          )}
        </div>
      </form>
    </section>
  );
}
