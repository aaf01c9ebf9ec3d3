// Numbers and times in the reader's own locale. Formatters are dear to make, so each is made once.

const locale = typeof navigator === 'undefined' ? 'en-US' : navigator.language;

const formats = new Map<string, Intl.NumberFormat>();

function format(value: number, options: Intl.NumberFormatOptions): string {
  const slot = JSON.stringify(options);
  let found = formats.get(slot);
  if (found === undefined) {
    found = new Intl.NumberFormat(locale, options);
    formats.set(slot, found);
  }
  return found.format(value);
}

export const missing = '–';

export const integer = (value: number): string => format(value, { maximumFractionDigits: 0 });

/** Up to three digits that say something. */
export function decimal(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && size < 0.001) return format(value, { maximumSignificantDigits: 2 });
  return format(value, { maximumFractionDigits: size >= 100 ? 0 : size >= 1 ? 2 : 3 });
}

export const compact = (value: number): string =>
  Math.abs(value) < 10_000
    ? decimal(value)
    : format(value, { notation: 'compact', maximumFractionDigits: 1 });

export const percent = (share: number, digits = 1): string =>
  format(share, { style: 'percent', minimumFractionDigits: digits, maximumFractionDigits: digits });

export const points = (value: number): string =>
  format(value, { minimumFractionDigits: 1, maximumFractionDigits: 1 });

export function money(value: number, currency = 'USD'): string {
  const size = Math.abs(value);
  const digits = size > 0 && size < 0.1 ? 4 : 2;
  return format(value, { style: 'currency', currency, maximumFractionDigits: digits });
}

export const compactMoney = (value: number, currency = 'USD'): string =>
  Math.abs(value) < 10_000
    ? money(value, currency)
    : format(value, { style: 'currency', currency, notation: 'compact', maximumFractionDigits: 1 });

const unitFormat = (value: number, unit: string, digits: number): string =>
  format(value, {
    style: 'unit',
    unit,
    unitDisplay: 'short',
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });

/** A length of time in the unit in which it reads best. */
export function duration(seconds: number): string {
  const size = Math.abs(seconds);
  if (size < 1 && size > 0) return unitFormat(seconds * 1000, 'millisecond', 0);
  if (size < 90) return unitFormat(seconds, 'second', size < 10 && size > 0 ? 1 : 0);
  if (size < 5400) return unitFormat(seconds / 60, 'minute', 1);
  if (size < 48 * 3600) return unitFormat(seconds / 3600, 'hour', 1);
  return unitFormat(seconds / 86400, 'day', size < 360_000_000 ? 1 : 0);
}

export function bytes(value: number): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];
  let size = value;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return unitFormat(size, units[unit] ?? 'byte', unit === 0 ? 0 : 1);
}

/** A p-value; below a ten-thousandth its digits mean nothing. */
export const pValue = (value: number): string =>
  value < 0.0001
    ? `< ${format(0.0001, { maximumFractionDigits: 4 })}`
    : format(value, { maximumFractionDigits: 4 });
