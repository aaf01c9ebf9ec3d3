// Days as YYYY-MM-DD, always UTC: a day of the game does not depend on who looks at it.

const millisecondsADay = 86_400_000;

export function dayNumber(day: string): number {
  return Math.floor(Date.parse(`${day}T00:00:00Z`) / millisecondsADay);
}

export function dayOf(number: number): string {
  return new Date(number * millisecondsADay).toISOString().slice(0, 10);
}

export function addDays(day: string, count: number): string {
  return dayOf(dayNumber(day) + count);
}

export function isDay(text: string): boolean {
  return /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(`${text}T00:00:00Z`));
}

export function daysBetween(from: string, to: string): string[] {
  const first = dayNumber(from);
  const count = Math.max(0, dayNumber(to) - first + 1);
  return Array.from({ length: count }, (_, index) => dayOf(first + index));
}

/** Monday of the day's week. */
export function weekOf(day: string): string {
  const number = dayNumber(day);
  // Day 0 of the epoch was a Thursday.
  return dayOf(number - ((number + 3) % 7));
}
