// How a column's values are written. A project says no units, so they are read off the names that
// such columns usually have.

import { numberOf, textOf } from '../api/rows';
import type { Cell, Column } from '../api/types';
import * as number from './number';
import * as time from './time';

export type Unit =
  | 'money'
  | 'percent'
  | 'seconds'
  | 'milliseconds'
  | 'integer'
  | 'number'
  | 'p-value'
  | 'date'
  | 'timestamp'
  | 'text';

const currencies: Record<string, string> = {
  usd: 'USD',
  eur: 'EUR',
  gbp: 'GBP',
  jpy: 'JPY',
  cny: 'CNY',
};
const shares =
  /(^|_)(share|rate|ratio|retention|conversion|stickiness|percent|pct|win_rate|churn)($|_)|crash_free/;
const perHead = /^(arpdau|arppu|arpu|ltv|aov)$/;

export function currencyOf(name: string): string | null {
  const ending = /_([a-z]{3})$/.exec(name)?.[1];
  return ending === undefined ? null : (currencies[ending] ?? null);
}

export function unitOf(column: Pick<Column, 'name' | 'type'>): Unit {
  const { name, type } = column;
  if (type === 'date' || type === 'timestamp') return type;
  if (type === 'text' || type === 'boolean' || type === 'json') return 'text';
  if (currencyOf(name) !== null || perHead.test(name)) return 'money';
  if (/(^|_)p_value$/.test(name)) return 'p-value';
  if (name.endsWith('_seconds')) return 'seconds';
  if (/(_ms|_milliseconds)$/.test(name)) return 'milliseconds';
  if (type === 'double' && shares.test(name)) return 'percent';
  return type === 'integer' ? 'integer' : 'number';
}

function write(value: number, unit: Unit, name: string, short: boolean): string {
  switch (unit) {
    case 'money': {
      const currency = currencyOf(name) ?? 'USD';
      return short ? number.compactMoney(value, currency) : number.money(value, currency);
    }
    case 'percent':
      return number.percent(value);
    case 'seconds':
      return number.duration(value);
    case 'milliseconds':
      return number.duration(value / 1000);
    case 'p-value':
      return number.pValue(value);
    case 'integer':
      return short ? number.compact(value) : number.integer(value);
    default:
      return short ? number.compact(value) : number.decimal(value);
  }
}

/** A value as it stands in tables and tooltips. */
export function formatCell(cell: Cell | undefined, column: Pick<Column, 'name' | 'type'>): string {
  if (cell === null || cell === undefined) return number.missing;
  const unit = unitOf(column);
  if (unit === 'date') return time.yearDay(textOf(cell));
  if (unit === 'timestamp') return time.exactTime(textOf(cell));
  if (unit === 'text') return textOf(cell);
  const value = numberOf(cell);
  return value === null ? textOf(cell) : write(value, unit, column.name, false);
}

/** A number of the column in little room: tiles and labels. */
export function formatShort(value: number | null, column: Pick<Column, 'name' | 'type'>): string {
  return value === null ? number.missing : write(value, unitOf(column), column.name, true);
}

/** A number beside an axis, where all have the same unit. */
export function formatTick(value: number, column: Pick<Column, 'name' | 'type'>): string {
  const unit = unitOf(column);
  if (unit === 'percent')
    return number.percent(value, Math.abs(value) < 0.02 && value !== 0 ? 1 : 0);
  if (unit === 'money') {
    const text = number.compactMoney(value, currencyOf(column.name) ?? 'USD');
    return Number.isInteger(value) ? text.replace(/[.,]00(?!\d)/, '') : text;
  }
  return value === 0 ? '0' : write(value, unit, column.name, true);
}

const upperCase = new Set([
  'dau',
  'wau',
  'mau',
  'arpdau',
  'arppu',
  'arpu',
  'ltv',
  'iap',
  'usd',
  'id',
  'url',
  'ms',
  'fps',
  'srm',
  'd1',
  'd7',
  'd30',
]);
const unitWords = new Set(['usd', 'eur', 'gbp', 'seconds']);

/** A column's name as a label: `ad_revenue_usd` is "Ad revenue". */
export function labelOf(name: string): string {
  const words = name.split('_').filter((word) => word !== '');
  const last = words.at(-1);
  if (words.length > 1 && last !== undefined && unitWords.has(last)) words.pop();
  const text = words.map((word) => (upperCase.has(word) ? word.toUpperCase() : word)).join(' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}
