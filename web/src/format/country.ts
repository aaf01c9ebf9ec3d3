const locale = typeof navigator === 'undefined' ? 'en-US' : navigator.language;
const regions = new Intl.DisplayNames([locale], { type: 'region', fallback: 'code' });

/** Name of a country by its code of two letters; anything else stays as it is. */
export function countryName(code: string): string {
  if (code === 'unknown') return 'Unknown';
  if (!/^[A-Z]{2}$/.test(code)) return code;
  return regions.of(code) ?? code;
}
