import { presets, defaultPreset, type FilterState } from '../state/filters';
import { setSearch } from '../state/location';
import { yearDay, minuteTime } from '../format/time';
import { countryName } from '../format/country';

interface SelectProps {
  label: string;
  value: string;
  all: string;
  options: string[];
  name: (option: string) => string;
  onChange: (value: string) => void;
}

function Select({ label, value, all, options, name, onChange }: SelectProps): React.JSX.Element {
  // A value of the address that nobody knows is shown as it is, rather than as another one.
  const shown = value === '' || options.includes(value) ? options : [value, ...options];
  return (
    <span className="field">
      <select
        aria-label={label}
        disabled={shown.length === 0}
        title={shown.length === 0 ? `Nothing here can be cut by ${label.toLowerCase()}` : undefined}
        value={value}
        className={value === '' ? undefined : 'chosen'}
        onChange={(event) => onChange(event.target.value)}
      >
        <option value="">{all}</option>
        {shown.map((option) => (
          <option key={option} value={option}>
            {name(option)}
          </option>
        ))}
      </select>
    </span>
  );
}

const platformNames: Record<string, string> = {
  ios: 'iOS',
  android: 'Android',
  pc: 'PC',
  web: 'Web',
  unknown: 'Unknown',
};

export const platformName = (platform: string): string => platformNames[platform] ?? platform;

/** Days, platform, country and game: the same for all pages, and kept in the address. */
export function FilterBar({ filters }: { filters: FilterState }): React.JSX.Element {
  const { known, preset, from, to } = filters;
  const setDays = (name: 'from' | 'to', value: string): void => {
    setSearch({ range: null, from, to, [name]: value });
  };
  const cut = filters.platform !== 'all' || filters.country !== 'all' || filters.game !== null;
  return (
    <div className="filter-bar" role="search" aria-label="Filters of all pages">
      <div className="presets" role="group" aria-label="Range of days">
        {presets.map((each) => (
          <button
            key={each.id}
            type="button"
            aria-pressed={preset === each.id}
            onClick={() =>
              setSearch({ range: each.id === defaultPreset ? null : each.id, from: null, to: null })
            }
          >
            {each.label}
          </button>
        ))}
      </div>
      <div className="days">
        <label className="field">
          <span className="visually-hidden">From</span>
          <input
            type="date"
            value={from ?? ''}
            min={known?.first_day ?? undefined}
            max={known?.last_day ?? undefined}
            onChange={(event) => setDays('from', event.target.value)}
          />
        </label>
        <span aria-hidden="true">–</span>
        <label className="field">
          <span className="visually-hidden">To</span>
          <input
            type="date"
            value={to ?? ''}
            min={known?.first_day ?? undefined}
            max={known?.last_day ?? undefined}
            onChange={(event) => setDays('to', event.target.value)}
          />
        </label>
      </div>
      <Select
        label="Platform"
        all="All platforms"
        value={filters.platform === 'all' ? '' : filters.platform}
        options={known?.platforms.filter((each) => each !== 'all') ?? []}
        name={platformName}
        onChange={(platform) => setSearch({ platform })}
      />
      <Select
        label="Country"
        all="All countries"
        value={filters.country === 'all' ? '' : filters.country}
        options={known?.countries.filter((each) => each !== 'all') ?? []}
        name={countryName}
        onChange={(country) => setSearch({ country })}
      />
      <Select
        label="Game"
        all="All games"
        value={filters.game ?? ''}
        options={known?.games ?? []}
        name={(game) => game}
        onChange={(game) => setSearch({ game })}
      />
      {cut && (
        <button
          type="button"
          className="button quiet"
          onClick={() => setSearch({ platform: null, country: null, game: null })}
        >
          Clear
        </button>
      )}
      <span className="visually-hidden" role="status">
        {from !== null && to !== null ? `Showing ${yearDay(from)} to ${yearDay(to)}` : ''}
      </span>
    </div>
  );
}

/** When the events came in that the figures are made of. */
export function DataThrough({
  through,
}: {
  through: string | null | undefined;
}): React.JSX.Element {
  return (
    <p className="through" title="All events that had come in by then are in the figures">
      {through ? (
        <>
          Data through <time dateTime={through}>{minuteTime(through)}</time>
        </>
      ) : (
        <span aria-hidden="true">&nbsp;</span>
      )}
    </p>
  );
}
