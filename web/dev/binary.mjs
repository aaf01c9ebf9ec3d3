// The data of the fixture server: asked of a real binary over a real data folder, never made up.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const binary = process.env.FIXTURE_BINARY ?? 'questlake';
export const project = process.env.FIXTURE_PROJECT ?? '..';
const data = process.env.FIXTURE_DATA ?? '../data';

async function questlake(...args) {
  const { stdout } = await run(binary, ['--data', data, '--project', project, ...args], {
    maxBuffer: 1 << 30,
    env: { ...process.env, QUESTLAKE_LOG: 'off' },
  });
  return stdout;
}

const tables = new Map();
const kept = new URL('./fixtures/', import.meta.url);

/** Changes with the data, so that answers that were kept are those of the data as it is. */
const state = () => {
  const file = join(data, 'warehouse.db');
  return existsSync(file) ? statSync(file).mtimeMs : 0;
};

/** Output of the binary, kept in a file: to start it anew for each question takes its time. */
async function remembered(args) {
  const slot = createHash('sha256').update(JSON.stringify([binary, data, project, state(), args]));
  const file = new URL(`${slot.digest('hex').slice(0, 24)}.json`, kept);
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8'));
  const text = await questlake(...args);
  const value = JSON.parse(text);
  mkdirSync(kept, { recursive: true });
  writeFileSync(file, text);
  return value;
}

/** Rows of a query; what does not change in a test run is asked once. */
export function query(sql, parameters = {}) {
  const given = Object.entries(parameters).flatMap(([name, value]) => ['-p', `${name}=${value}`]);
  const slot = JSON.stringify([sql, given]);
  if (!tables.has(slot)) {
    const answer = remembered(['query', sql, ...given, '--format', 'json']);
    answer.catch(() => tables.delete(slot));
    tables.set(slot, answer);
  }
  return tables.get(slot);
}

export const json = (...args) => remembered([...args, '--format', 'json']);

const typeOf = (name) => {
  const type = name.toLowerCase();
  if (/^date/.test(type)) return 'date';
  if (/timestamp/.test(type)) return 'timestamp';
  if (/bool/.test(type)) return 'boolean';
  if (/int/.test(type)) return 'integer';
  if (/double|float|real/.test(type)) return 'double';
  if (/decimal|numeric/.test(type)) return 'decimal';
  return 'text';
};

/** Columns of every table, with their descriptions. */
export async function columns() {
  const rows = await query(
    'SELECT table_schema, table_name, column_name, data_type, description FROM meta.columns ORDER BY table_schema, table_name, position',
  );
  const found = new Map();
  for (const row of rows) {
    const table = `${row.table_schema}.${row.table_name}`;
    if (!found.has(table)) found.set(table, []);
    found.get(table).push({
      name: row.column_name,
      type: typeOf(row.data_type),
      sqlType: row.data_type,
      description: row.description,
    });
  }
  return found;
}

/** Types read off the values, for queries of which nothing else is known. */
export function inferred(rows) {
  const names = Object.keys(rows[0] ?? {});
  return names.map((name) => {
    const value = rows.map((row) => row[name]).find((each) => each !== null);
    let type = 'text';
    if (typeof value === 'number') {
      type = rows.every((row) => row[name] === null || Number.isInteger(row[name]))
        ? 'integer'
        : 'double';
    } else if (typeof value === 'boolean') type = 'boolean';
    else if (/^\d{4}-\d\d-\d\d$/.test(value ?? '')) type = 'date';
    else if (/^\d{4}-\d\d-\d\dT/.test(value ?? '')) type = 'timestamp';
    return { name, type, description: null, role: null };
  });
}

/** Models as their files' headers describe them. */
export function models() {
  return ['dimensions', 'facts', 'marts'].flatMap((layer) =>
    readdirSync(join(project, 'sql', layer))
      .filter((file) => file.endsWith('.sql'))
      .map((file) => {
        const sql = readFileSync(join(project, 'sql', layer, file), 'utf8');
        const lines = sql
          .split('\n')
          .slice(
            0,
            sql.split('\n').findIndex((line) => !line.startsWith('--')),
          )
          .map((line) => line.replace(/^-- ?/, ''));
        const setting = (name) =>
          lines
            .find((line) => line.startsWith(`${name}:`))
            ?.slice(name.length + 1)
            .trim() ?? null;
        const text = lines.filter((line) => !/^[@a-z_]+:|^@|^\s{3,}/.test(line));
        const blank = text.indexOf('');
        const name = file.replace('.sql', '');
        const upstream = [...sql.matchAll(/\b(?:FROM|JOIN)\s+((?:star|events)\.\w+)/g)].map(
          (match) => match[1],
        );
        return {
          name,
          layer: layer.replace(/s$/, ''),
          load: setting('load') ?? (setting('key') ? 'upsert' : 'append'),
          key: (setting('key') ?? '')
            .split(',')
            .map((each) => each.trim())
            .filter(Boolean),
          partition: setting('partition'),
          title: setting('title'),
          chart: setting('chart'),
          description: text
            .slice(0, blank < 0 ? undefined : blank)
            .join(' ')
            .trim(),
          upstream: [...new Set(upstream)],
          sql,
        };
      }),
  );
}
