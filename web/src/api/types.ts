// What the API answers. Tables all have one shape; the rest is described where it is read.

export type ColumnType =
  'integer' | 'decimal' | 'double' | 'text' | 'date' | 'timestamp' | 'boolean' | 'json';

export interface Column {
  name: string;
  type: ColumnType;
  description?: string | null;
  /** `key`, `date`, `measure` or `text`. */
  role?: string | null;
}

export type Cell = string | number | boolean | null | object;

export interface Meta {
  /** All events that had come in by then are in the figures, RFC 3339. */
  data_through?: string | null;
  data_version?: string | null;
  generated_at?: string;
  cached?: boolean;
  elapsed_ms?: number;
  truncated?: boolean;
  /** What the reader has to know of the tables: built by a former definition, or not at all. */
  warnings?: string[];
  chart?: unknown;
}

export interface Table {
  columns: Column[];
  rows: Cell[][];
  next_cursor?: string | null;
  meta?: Meta;
}

export type Row = Record<string, Cell>;

export interface Mart {
  name: string;
  title?: string | null;
  description?: string | null;
  columns: Column[];
  key: string[];
  partition?: string | null;
  /** The chart header: its text, or the parts of it. */
  chart?: unknown;
  url?: string;
}

export interface Filters {
  platforms: string[];
  countries: string[];
  games: string[];
  first_day: string | null;
  last_day: string | null;
  /** When the latest events came in that the figures are made of, RFC 3339. */
  data_through?: string | null;
}

export interface Parameter {
  name: string;
  type: string;
  default?: Cell;
  description?: string | null;
  required?: boolean;
}

export interface SavedQuery {
  name: string;
  title?: string | null;
  description?: string | null;
  parameters?: Parameter[];
  chart?: unknown;
  sql?: string;
}

export interface CatalogTable {
  name: string;
  description?: string | null;
  columns: { name: string; type: string; description?: string | null }[];
}

export interface Catalog {
  schemas: { name: string; tables: CatalogTable[] }[];
  functions: { name: string; kind?: string; syntax?: string | null; description?: string | null }[];
}

export interface Run {
  model?: string;
  seconds?: number;
  started_at?: string | number | null;
  finished_at?: string | number | null;
  state?: string | null;
  mode?: string | null;
  rows?: number | null;
  error?: string | null;
}

export interface Model {
  name: string;
  layer?: string | null;
  load?: string | null;
  key?: string[];
  partition?: string | null;
  description?: string | null;
  columns?: Column[];
  sql?: string | null;
  upstream?: string[];
  downstream?: string[];
  last_run?: Run | null;
  behind_commits?: number;
  stale_days?: number;
  definition_changed?: boolean;
}

/** The error document of RFC 9457. */
export interface Problem {
  title?: string;
  status?: number;
  detail?: string;
  errors?: { parameter?: string; message?: string; allowed?: unknown; hint?: string }[];
}
