// Days and times, in the reader's words and always of UTC.

const locale = typeof navigator === 'undefined' ? 'en-US' : navigator.language;

const make = (options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat =>
  new Intl.DateTimeFormat(locale, { timeZone: 'UTC', ...options });

const short = make({ month: 'short', day: 'numeric' });
const long = make({ weekday: 'short', year: 'numeric', month: 'short', day: 'numeric' });
const withYear = make({ year: 'numeric', month: 'short', day: 'numeric' });
const monthYear = make({ year: 'numeric', month: 'short' });
const weekday = make({ weekday: 'long' });
const moment = make({
  year: 'numeric',
  month: 'short',
  day: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  hourCycle: 'h23',
});
const exact = make({
  year: 'numeric',
  month: 'short',
  day: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});
const clock = make({ hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });

type Time = string | number | Date;

function parsed(time: Time): Date {
  return time instanceof Date
    ? time
    : new Date(typeof time === 'string' && time.length === 10 ? `${time}T00:00:00Z` : time);
}

function shown(time: Time, format: Intl.DateTimeFormat): string {
  const date = parsed(time);
  return Number.isNaN(date.getTime()) ? String(time) : format.format(date);
}

export const shortDay = (time: Time): string => shown(time, short);
export const longDay = (time: Time): string => shown(time, long);
export const yearDay = (time: Time): string => shown(time, withYear);
export const month = (time: Time): string => shown(time, monthYear);
export const weekdayName = (time: Time): string => shown(time, weekday);
export const minuteTime = (time: Time): string => `${shown(time, moment)} UTC`;
export const exactTime = (time: Time): string => shown(time, exact);
export const clockTime = (time: Time): string => shown(time, clock);

/** How long ago something was, in one word or two. */
export function ago(time: Time, now = Date.now()): string {
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
  const seconds = (parsed(time).getTime() - now) / 1000;
  const size = Math.abs(seconds);
  if (Number.isNaN(size)) return String(time);
  if (size < 60) return relative.format(Math.round(seconds), 'second');
  if (size < 3600) return relative.format(Math.round(seconds / 60), 'minute');
  if (size < 86_400) return relative.format(Math.round(seconds / 3600), 'hour');
  return relative.format(Math.round(seconds / 86_400), 'day');
}
