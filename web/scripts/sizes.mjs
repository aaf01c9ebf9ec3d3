// Prints what the first page transfers, and fails if it grew beyond the budget.
import { readFileSync, readdirSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const budget = 250_000;
const folder = new URL('../dist/', import.meta.url);
const size = (name) => gzipSync(readFileSync(new URL(name, folder)), { level: 9 }).length;

const html = readFileSync(new URL('index.html', folder), 'utf8');
const first = new Set(['index.html']);
for (const [, name] of html.matchAll(/(?:src|href)="\/([^"]+)"/g)) first.add(name);

// Chunks that the entry imports statically are part of the first page too.
for (const name of first) {
  if (!name.endsWith('.js')) continue;
  const text = readFileSync(new URL(name, folder), 'utf8');
  for (const [, imported] of text.matchAll(/(?:from|import)\s*["']\.\/([^"']+\.js)["']/g)) {
    first.add(`assets/${imported}`);
  }
}

const later = readdirSync(new URL('assets/', folder))
  .map((name) => `assets/${name}`)
  .filter((name) => !first.has(name));
const line = (name) => console.log(`${String(size(name)).padStart(9)}  ${name}`);

console.log('first page, bytes after gzip');
[...first].forEach(line);
const total = [...first].reduce((sum, name) => sum + size(name), 0);
console.log(`${String(total).padStart(9)}  in all (budget ${budget})`);
console.log('\nloaded when a page needs them');
later.forEach(line);
if (total > budget) {
  console.error('The first page is larger than its budget.');
  process.exit(1);
}
