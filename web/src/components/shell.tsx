import { Suspense, useEffect, useRef, useState } from 'react';
import { useFilters } from '../state/filters';
import { hrefOf, useLocation } from '../state/location';
import { useMarts } from '../state/marts';
import { isDrawn, pages, type Page } from '../state/pages';
import { titleOf } from '../pages/mart-title';
import { Boundary } from './boundary';
import { DataThrough, FilterBar } from './filter-bar';
import { Icon } from './icons';
import { KeyDialog } from './key-dialog';
import { Link } from './link';
import { Empty } from './states';
import { ThemeSwitch } from './theme-switch';

function Brand(): React.JSX.Element {
  return (
    <>
      <svg viewBox="0 0 32 32" width="28" height="28" aria-hidden="true">
        <rect width="32" height="32" rx="8" className="brand-ground" />
        <path d="M5 13c3.7-3 7.3-3 11 0s7.3 3 11 0" className="brand-wave" />
        <path d="M5 20c3.7-3 7.3-3 11 0s7.3 3 11 0" className="brand-wave second" />
      </svg>
      <span>Questlake</span>
    </>
  );
}

/** Everything around a page: skip link, navigation, filters, theme. */
export function Shell(): React.JSX.Element {
  const { path, search } = useLocation();
  const filters = useFilters();
  const { marts } = useMarts();
  // The page on which the navigation was opened; another one closes it.
  const [openAt, setOpenAt] = useState<string | null>(null);
  const open = openAt === path;
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);

  const names = new Set(marts.map((mart) => mart.name));
  const offered = pages.filter(
    (page) =>
      page.marts.length === 0 || marts.length === 0 || page.marts.some((mart) => names.has(mart)),
  );
  const strange = marts.filter((mart) => !isDrawn(mart.name));
  const page: Page | undefined = pages.find((each) =>
    each.path === '/' ? path === '/' : path === each.path || path.startsWith(`${each.path}/`),
  );
  const View = page?.view;

  useEffect(() => {
    document.title = page === undefined ? 'Questlake' : `${page.title} · Questlake`;
    // A reader who does not see the page change is put at its beginning.
    if (!first.current) main.current?.focus({ preventScroll: true });
    first.current = false;
  }, [page, path]);

  useEffect(() => {
    if (!open) return;
    const close = (event: KeyboardEvent): void => {
      if (event.key === 'Escape') setOpenAt(null);
    };
    window.addEventListener('keydown', close);
    return () => window.removeEventListener('keydown', close);
  }, [open]);

  return (
    <div className={open ? 'shell nav-open' : 'shell'}>
      <a className="skip" href="#content">
        Skip to content
      </a>
      <header className="top">
        <button
          type="button"
          className="icon-button menu"
          aria-expanded={open}
          aria-controls="navigation"
          aria-label={open ? 'Close navigation' : 'Open navigation'}
          onClick={() => setOpenAt(open ? null : path)}
        >
          <Icon name={open ? 'close' : 'menu'} size={22} />
        </button>
        <Link className="brand" href={hrefOf('/', search)}>
          <Brand />
        </Link>
        <ThemeSwitch />
      </header>
      <nav id="navigation" aria-label="Pages">
        <Link className="brand" href={hrefOf('/', search)}>
          <Brand />
        </Link>
        <ul>
          {offered.map((each) => (
            <li key={each.path}>
              <Link
                href={hrefOf(each.path, search)}
                aria-current={each === page && path === each.path ? 'page' : undefined}
                className={each === page ? 'current' : undefined}
              >
                <Icon name={each.icon} />
                {each.title}
              </Link>
            </li>
          ))}
          {strange.map((mart) => {
            const href = `/marts/${mart.name}`;
            return (
              <li key={mart.name} className="sub">
                <Link href={hrefOf(href, search)} aria-current={path === href ? 'page' : undefined}>
                  {titleOf(mart)}
                </Link>
              </li>
            );
          })}
        </ul>
        <ThemeSwitch />
      </nav>
      {/* Behind the open navigation of a narrow screen; Escape does the same. */}
      <div className="veil" aria-hidden="true" onClick={() => setOpenAt(null)} />
      <main id="content" ref={main} tabIndex={-1}>
        <div className="page-head">
          <div className="page-title">
            <h1>{page?.title ?? 'Not found'}</h1>
            <DataThrough through={filters.known?.data_through} />
          </div>
          {page?.filtered === true && <FilterBar filters={filters} />}
        </div>
        <Boundary key={path}>
          <Suspense fallback={<div className="page-wait" />}>
            {View === undefined ? <Empty>There is no such page.</Empty> : <View />}
          </Suspense>
        </Boundary>
      </main>
      <KeyDialog />
    </div>
  );
}
