// The pages there are, and what of a project they need.

import { lazy, type ComponentType } from 'react';
import type { IconName } from '../components/icons';

export interface Page {
  path: string;
  title: string;
  icon: IconName;
  /** Whether the shared filters mean something to it. */
  filtered: boolean;
  /** Marts that it draws; a project with none of them does not get the page. */
  marts: string[];
  view: ComponentType;
}

export const pages: Page[] = [
  {
    path: '/',
    title: 'Overview',
    icon: 'overview',
    filtered: true,
    marts: [],
    view: lazy(() => import('../pages/overview')),
  },
  {
    path: '/retention',
    title: 'Retention',
    icon: 'retention',
    filtered: true,
    marts: ['mart_retention', 'mart_player_state'],
    view: lazy(() => import('../pages/retention')),
  },
  {
    path: '/monetization',
    title: 'Monetization',
    icon: 'monetization',
    filtered: true,
    marts: ['mart_daily_kpi', 'mart_ltv'],
    view: lazy(() => import('../pages/monetization')),
  },
  {
    path: '/progression',
    title: 'Progression',
    icon: 'progression',
    filtered: true,
    marts: ['mart_funnel', 'mart_level'],
    view: lazy(() => import('../pages/progression')),
  },
  {
    path: '/economy',
    title: 'Economy',
    icon: 'economy',
    filtered: true,
    marts: ['mart_economy', 'mart_economy_reason'],
    view: lazy(() => import('../pages/economy')),
  },
  {
    path: '/players',
    title: 'Players',
    icon: 'players',
    filtered: false,
    marts: [],
    view: lazy(() => import('../pages/players')),
  },
  {
    path: '/experiments',
    title: 'Experiments',
    icon: 'experiments',
    filtered: true,
    marts: ['mart_experiment', 'mart_experiment_daily'],
    view: lazy(() => import('../pages/experiments')),
  },
  {
    path: '/stability',
    title: 'Stability',
    icon: 'stability',
    filtered: true,
    marts: ['mart_stability', 'mart_concurrency'],
    view: lazy(() => import('../pages/stability')),
  },
  {
    path: '/live',
    title: 'Live',
    icon: 'live',
    filtered: false,
    marts: [],
    view: lazy(() => import('../pages/live')),
  },
  {
    path: '/explore',
    title: 'Explore',
    icon: 'explore',
    filtered: false,
    marts: [],
    view: lazy(() => import('../pages/explore')),
  },
  {
    path: '/pipeline',
    title: 'Pipeline',
    icon: 'pipeline',
    filtered: false,
    marts: [],
    view: lazy(() => import('../pages/pipeline')),
  },
  {
    path: '/marts',
    title: 'More',
    icon: 'more',
    filtered: true,
    marts: [],
    view: lazy(() => import('../pages/marts')),
  },
];

const drawn = new Set(['mart_daily_kpi', ...pages.flatMap((page) => page.marts)]);

/** Whether a page draws the mart already; the others are listed under "More" by name. */
export const isDrawn = (mart: string): boolean => drawn.has(mart);
