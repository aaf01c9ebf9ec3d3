// After the build: writes packed copies of the files, which the server sends to browsers that take
// them, prints what the first page transfers, and fails if that grew beyond the budget.

import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const budget = 250_000;
const folder = new URL('../dist/', import.meta.url);
const read = (name) => readFileSync(new URL(name, folder));
const sizes = new Map();

function pack(name) {
  const content = read(name);
  const gzip = gzipSync(content, { level: 9 });
  const brotli = brotliCompressSync(content, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 11,
      [constants.BROTLI_PARAM_SIZE_HINT]: content.length,
    },
  });
  writeFileSync(new URL(`${name}.gz`, folder), gzip);
  writeFileSync(new URL(`${name}.br`, folder), brotli);
  sizes.set(name, { gzip: gzip.length, brotli: brotli.length });
}

const names = readdirSync(folder, { recursive: true })
  .map((name) => name.replaceAll('\\', '/'))
  .filter((name) => /\.(html|js|css|svg)$/.test(name))
  .sort();
names.forEach(pack);

// The first page: what index.html names, and what these chunks import statically.
const first = new Set(['index.html']);
for (const [, name] of read('index.html')
  .toString()
  .matchAll(/(?:src|href)="\/([^"]+)"/g)) {
  first.add(name);
}
for (const name of first) {
  if (!name.endsWith('.js')) continue;
  for (const [, imported] of read(name)
    .toString()
    .matchAll(/(?:from|import)\s*["'`]\.\/([^"'`]+\.js)["'`]/g)) {
    first.add(`assets/${imported}`);
  }
}

const line = (name) => {
  const { gzip, brotli } = sizes.get(name);
  console.log(`${String(gzip).padStart(9)} ${String(brotli).padStart(9)}  ${name}`);
};
const total = (kind) => [...first].reduce((sum, name) => sum + sizes.get(name)[kind], 0);

console.log('     gzip    brotli  first page');
[...first].forEach(line);
console.log(`${String(total('gzip')).padStart(9)} ${String(total('brotli')).padStart(9)}  in all`);
console.log('\n     gzip    brotli  loaded when a page needs it');
names.filter((name) => !first.has(name)).forEach(line);
if (total('gzip') > budget) {
  console.error(`The first page is larger than its budget of ${budget} bytes.`);
  process.exit(1);
}
