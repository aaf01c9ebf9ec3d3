// A server of the API's contract for the dashboard's development and browser tests: the rows are the
// real binary's, only the HTTP around them is not. It is never part of what is built.
//
//   FIXTURE_BINARY=… FIXTURE_DATA=… FIXTURE_PROJECT=… node dev/server.mjs [--dist]
//
//   --dist   also serves dist/ under the same security headers as the product
//   FIXTURE_KEY=qlk_…   wants that API key

import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { join, normalize } from 'node:path';
import { createGzip } from 'node:zlib';
import { columns, inferred, json, models, query } from './binary.mjs';

const port = Number(process.env.PORT ?? 8090);
const dist = new URL('../dist/', import.meta.url).pathname;
const serveDist = process.argv.includes('--dist');
const wantedKey = process.env.FIXTURE_KEY ?? '';
// That of the product. Editing text in the editor makes Chromium write style attributes of its own.
const policy =
  "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
  "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
class Refused extends Error {
  constructor(status, detail, errors = []) {
    super(detail);
    this.status = status;
    this.errors = errors;
  }
}

const meta = async () => ({
  data_through:
    process.env.FIXTURE_DATA_THROUGH ??
    (await query('SELECT max(updated_at) AS at FROM meta.partitions'))[0].at,
  data_version: 'fixture',
  generated_at: new Date().toISOString(),
  cached: false,
  elapsed_ms: 3,
  truncated: false,
});

async function bounds() {
  const [row] = await query('SELECT min(date) AS first, max(date) AS last FROM star.dim_date');
  return row;
}

async function table(described, rows, more = {}) {
  return {
    columns: described,
    rows: rows.map((row) =>
      described.map(({ name, type }) =>
        type === 'decimal' && row[name] !== null ? String(row[name]) : (row[name] ?? null),
      ),
    ),
    next_cursor: null,
    meta: { ...(await meta()), ...more },
  };
}

async function describe(model) {
  const all = (await columns()).get(`star.${model.name}`) ?? [];
  return all.map(({ name, type, description }) => ({
    name,
    type,
    description,
    role: model.key.includes(name)
      ? 'key'
      : type === 'date'
        ? 'date'
        : /text|bool/.test(type)
          ? 'text'
          : 'measure',
  }));
}

const marts = () => models().filter((model) => model.layer === 'mart');

async function martRows(name, search) {
  const model = marts().find((each) => each.name === name);
  if (model === undefined) throw new Refused(404, `there is no mart ${name}`);
  const described = await describe(model);
  const type = Object.fromEntries(described.map((column) => [column.name, column.type]));
  const day = model.partition ?? model.key.find((each) => type[each] === 'date');
  const wanted = new Map();
  for (const key of model.key) {
    const values = search.getAll(key);
    if (values.includes('*')) continue;
    if (values.length > 0) wanted.set(key, values);
    else if (key === 'platform' || key === 'country') wanted.set(key, ['all']);
  }
  const from = search.get('from');
  const to = search.get('to');
  const rows = (await query(`SELECT * FROM star.${name} ORDER BY ${model.key.join(', ')}`)).filter(
    (row) =>
      (!day || ((!from || row[day] >= from) && (!to || row[day] <= to))) &&
      [...wanted].every(([key, values]) => values.includes(String(row[key]))),
  );
  return table(described, rows.slice(0, Number(search.get('limit') ?? 1000)));
}

async function lineage() {
  const edges = models().flatMap((model) =>
    model.upstream.map((from) => ({ from, to: `star.${model.name}` })),
  );
  const nodes = [...new Set(edges.flatMap(({ from, to }) => [from, to]))].map((id) => ({
    id,
    name: id.split('.')[1],
    kind: id.startsWith('events.')
      ? 'event'
      : models().find((each) => `star.${each.name}` === id)?.layer,
    title: id.split('.')[1],
    description: null,
    state: id.startsWith('events.') ? null : 'current',
  }));
  const column_edges = [];
  return { nodes, edges, column_edges };
}

const text = (value) => String(value).replaceAll("'", "''");
const playerColumns =
  'player_id, display_name, cohort_date, last_active_date, first_platform, first_country, events, first_purchase_at';

const get = {
  '/marts': async () => ({
    marts: await Promise.all(
      marts().map(async (model) => ({
        name: model.name,
        title: model.title,
        description: model.description,
        columns: await describe(model),
        key: model.key,
        partition: model.partition,
        chart: model.chart,
        url: `/api/v1/marts/${model.name}`,
      })),
    ),
  }),
  '/filters': async () => {
    const { first, last } = await bounds();
    const values = async (column) =>
      (
        await query(
          `SELECT DISTINCT ${column} AS v FROM star.mart_daily_kpi WHERE ${column} <> 'all' ORDER BY 1`,
        )
      ).map(({ v }) => v);
    return {
      platforms: await values('platform'),
      countries: await values('country'),
      games: ['emberlake'],
      first_day: first,
      last_day: last,
      data_through: (await meta()).data_through,
    };
  },
  '/queries': async () => {
    const rows = await query('SELECT * FROM meta.queries ORDER BY query');
    const found = new Map();
    for (const row of rows) {
      if (!found.has(row.query)) {
        const { title, description } = row;
        found.set(row.query, { name: row.query, title, description, parameters: [], chart: null });
      }
      if (row.parameter) {
        found.get(row.query).parameters.push({
          name: row.parameter,
          type: row.parameter_type,
          default: row.parameter_default,
          description: row.parameter_description,
        });
      }
    }
    return { queries: [...found.values()] };
  },
  '/catalog': async () => {
    const schemas = new Map();
    for (const [name, list] of await columns()) {
      const [schema, tableName] = name.split('.');
      if (!schemas.has(schema)) schemas.set(schema, []);
      schemas.get(schema).push({
        name: tableName,
        description: null,
        columns: list.map((column) => ({ ...column, type: column.sqlType })),
      });
    }
    return {
      schemas: [...schemas].map(([name, tables]) => ({ name, tables })),
      functions: [
        'count',
        'sum',
        'avg',
        'min',
        'max',
        'median',
        'date_trunc',
        'coalesce',
        'percentile_cont',
      ].map((name) => ({ name, kind: 'aggregate' })),
    };
  },
  '/players': async (search) => {
    const prefix = text(search.get('search') ?? '');
    const rows = await query(
      `SELECT ${playerColumns} FROM star.dim_player WHERE starts_with(player_id, '${prefix}') OR starts_with(lower(display_name), lower('${prefix}')) ORDER BY last_active_date DESC, player_id LIMIT 50`,
    );
    return table(inferred(rows), rows);
  },
  '/models': async () => ({ models: await modelList() }),
  '/lineage': lineage,
  '/runs': async () => {
    const rows = await query('SELECT * FROM meta.runs ORDER BY started_at DESC LIMIT 200');
    const seconds = (row) => (Date.parse(row.finished_at) - Date.parse(row.started_at)) / 1000;
    return { runs: rows.map((row) => ({ ...row, seconds: seconds(row) })) };
  },
  '/checks': async () => ({ checks: [] }),
  '/session': async () => ({
    required: wantedKey !== '',
    name: null,
    scopes: ['ingest', 'read', 'query', 'admin'],
  }),
  '/quarantine': async (search) => {
    const reason = search.get('reason');
    const rows = await query(
      `SELECT id, state, reason, detail, event_type, contract_version, quarantined_at, attempts, source_topic AS topic, source_partition AS partition, source_offset AS "offset" FROM meta.quarantine ${reason ? `WHERE reason = '${text(reason)}'` : ''} ORDER BY id LIMIT ${Number(search.get('limit') ?? 100)}`,
    );
    const groups = (await json('status')).quarantine;
    return { records: rows.map((row) => ({ ...row, raw: null })), groups, next_cursor: null };
  },
  '/status': () => json('status'),
  '/accounting': async () => {
    const { accounting, partitions } = await json('status');
    return { accounting, partitions };
  },
};

async function modelList() {
  const runs = await query('SELECT * FROM meta.runs ORDER BY started_at DESC');
  const all = models();
  return Promise.all(
    all.map(async ({ sql: _, ...model }) => ({
      ...model,
      columns: await describe(model),
      upstream: model.upstream.map((each) => each.replace('star.', '')),
      downstream: all
        .filter((each) => each.upstream.includes(`star.${model.name}`))
        .map((each) => each.name),
      behind_commits: 0,
      stale_days: 0,
      last_run: runs.find((each) => each.model === model.name) ?? null,
    })),
  );
}

async function answer(path, search) {
  if (get[path] !== undefined) return get[path](search);
  const [, group, name, part, last] = path.split('/').map(decodeURIComponent);
  if (group === 'marts' && part === undefined) return martRows(name, search);
  if (group === 'marts' && part === 'values') {
    const { rows } = await martRows(name, new URLSearchParams({ limit: '50000' }));
    return { values: [...new Set(rows.map((row) => row[0]))], column: last };
  }
  if (group === 'queries') {
    const rows = await query(name, Object.fromEntries(search));
    return table(inferred(rows), rows);
  }
  if (group === 'models') {
    const model = (await modelList()).find((each) => each.name === name);
    if (model === undefined) throw new Refused(404, `there is no model ${name}`);
    return { ...model, sql: models().find((each) => each.name === name).sql };
  }
  if (group === 'players' && part === undefined) {
    const [row] = await query(`SELECT * FROM star.dim_player WHERE player_id = '${text(name)}'`);
    if (row === undefined) throw new Refused(404, `there is no player ${name}`);
    const described = (await columns())
      .get('star.dim_player')
      .map(({ sqlType: _, ...column }) => column);
    return {
      player_id: name,
      profile: row,
      columns: described,
      first_event_at: row.first_event_at,
      last_event_at: row.last_event_at,
    };
  }
  if (group === 'players' && part === 'timeline') {
    const before = search.get('cursor');
    const limit = Number(search.get('limit') ?? 50);
    const rows = await query(
      `SELECT event_time, event_type, event_id, document FROM hot.events WHERE player_id = '${text(name)}' ${before ? `AND event_time < '${text(before)}'` : ''} ORDER BY event_time DESC LIMIT ${limit}`,
    );
    const events = rows.map(({ document, ...row }) => ({
      ...row,
      source: 'hot',
      session_id: null,
      document: JSON.parse(document),
    }));
    return {
      player_id: name,
      events,
      next_cursor: rows.length === limit ? rows.at(-1).event_time : null,
    };
  }
  throw new Refused(404, `there is no ${path}`);
}

/** The counters of a pipeline under steady load. */
function live(response) {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
  const types = [
    'level_start',
    'level_end',
    'currency_earned',
    'currency_spent',
    'session_start',
    'match_end',
    'purchase',
  ];
  let landed = 123_053;
  let tick = 0;
  const send = () => {
    tick += 1;
    const rate = Math.round(180 + 60 * Math.sin(tick / 6) + 12 * Math.sin(tick * 1.7));
    landed += rate;
    const counters = {
      events_per_second: rate,
      by_type: Object.fromEntries(
        types.map((type, index) => [type, Math.round(rate / (index + 2.2))]),
      ),
      landed,
      duplicates: 1257 + Math.floor(tick / 3),
      quarantined: 242 + Math.floor(tick / 20),
      consumed: landed + 1257 + 242,
      lag_commits: tick % 3,
      active_players_5m: 90 + (tick % 17),
      at: new Date().toISOString(),
    };
    response.write(`event: counters\ndata: ${JSON.stringify(counters)}\n\n`);
  };
  send();
  const timer = setInterval(send, 1000);
  response.on('close', () => clearInterval(timer));
}

const csvField = (value) =>
  value === null
    ? ''
    : /[",\n]/.test(String(value))
      ? `"${String(value).replaceAll('"', '""')}"`
      : String(value);

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return JSON.parse(Buffer.concat(parts).toString() || '{}');
}

async function post(path, request) {
  const sent = await body(request);
  if (path === '/query') {
    if (!/^\s*(select|with|values|explain|show|describe)/i.test(sent.sql ?? '')) {
      throw new Refused(400, 'only queries that read are allowed', [
        {
          parameter: 'sql',
          message: 'is not a query that reads',
          allowed: 'SELECT, WITH, VALUES, EXPLAIN',
        },
      ]);
    }
    const started = Date.now();
    const rows = await query(sent.sql, sent.parameters).catch((error) => {
      throw new Refused(400, String(error.stderr ?? error).trim());
    });
    return table(inferred(rows), rows.slice(0, sent.max_rows ?? 1e6), {
      elapsed_ms: Date.now() - started,
    });
  }
  if (path === '/quarantine/replay') {
    const refused = { id: 1, reason: sent.reason ?? 'missing_field', detail: 'it is as it was' };
    return { replayed: 25, landed: 0, duplicates: 0, refused: [refused] };
  }
  throw new Refused(404, `there is no ${path}`);
}

function sendJson(response, request, status, value) {
  const csv = status === 200 && request.headers.accept === 'text/csv' && Array.isArray(value.rows);
  const type = status === 200 ? 'application/json' : 'application/problem+json';
  response.writeHead(status, {
    'Content-Type': csv ? 'text/csv' : type,
    'Content-Encoding': 'gzip',
    'Cache-Control': 'private, no-cache',
  });
  const stream = createGzip();
  stream.pipe(response);
  stream.end(
    csv
      ? [value.columns.map((column) => column.name), ...value.rows]
          .map((row) => row.map(csvField).join(','))
          .join('\n')
      : JSON.stringify(value),
  );
}

const mime = {
  js: 'text/javascript',
  css: 'text/css',
  svg: 'image/svg+xml',
  html: 'text/html; charset=utf-8',
};

function asset(response, path) {
  const clean = normalize(path).replace(/^(\.\.\/)+/, '');
  const file = join(dist, clean);
  const found = clean !== '/' && existsSync(file) ? file : join(dist, 'index.html');
  response.writeHead(200, {
    'Content-Type': mime[found.split('.').at(-1)] ?? 'application/octet-stream',
    'Content-Security-Policy': policy,
    'Cache-Control': clean.startsWith('/assets/')
      ? 'public, max-age=31536000, immutable'
      : 'no-cache',
    'Content-Encoding': 'gzip',
  });
  createReadStream(found).pipe(createGzip()).pipe(response);
}

createServer(async (request, response) => {
  const url = new URL(request.url, 'http://localhost');
  if (!url.pathname.startsWith('/api/v1/')) {
    if (serveDist) asset(response, url.pathname);
    else response.writeHead(404).end();
    return;
  }
  const path = url.pathname.slice('/api/v1'.length);
  try {
    if (wantedKey !== '' && request.headers.authorization !== `Bearer ${wantedKey}`) {
      throw new Refused(401, 'an API key is needed');
    }
    if (path === '/live') live(response);
    else {
      const value =
        request.method === 'POST'
          ? await post(path, request)
          : await answer(path, url.searchParams);
      sendJson(response, request, 200, value);
    }
  } catch (error) {
    const status = error.status ?? 500;
    sendJson(response, request, status, {
      type: 'about:blank',
      title: status === 500 ? 'Internal error' : 'Refused',
      status,
      detail: error.message,
      errors: error.errors ?? [],
    });
  }
}).listen(port, '127.0.0.1', () => console.log(`fixtures at http://127.0.0.1:${port}`));
