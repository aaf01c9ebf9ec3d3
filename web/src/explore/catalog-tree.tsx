import type { Catalog } from '../api/types';

interface Props {
  catalog: Catalog;
  onPick: (text: string) => void;
}

/** Schemas, tables and columns; a click on a column writes it into the editor, one on a table asks for its rows. */
export function CatalogTree({ catalog, onPick }: Props): React.JSX.Element {
  return (
    <div className="side-list">
      {catalog.schemas.map((schema) => (
        <details key={schema.name} open={schema.name === 'star'}>
          <summary>
            <b>{schema.name}</b>
          </summary>
          {schema.tables.map((table) => (
            <details key={table.name}>
              <summary title={table.description ?? undefined}>{table.name}</summary>
              <ul className="columns">
                <li>
                  <button
                    type="button"
                    onClick={() => onPick(`SELECT *\nFROM ${schema.name}.${table.name}\nLIMIT 100`)}
                  >
                    Show 100 rows
                  </button>
                </li>
                {table.columns.map((column) => (
                  <li key={column.name} title={column.description ?? undefined}>
                    {column.name}
                    <span>{column.type}</span>
                  </li>
                ))}
              </ul>
            </details>
          ))}
        </details>
      ))}
    </div>
  );
}
