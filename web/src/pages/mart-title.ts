import type { Mart } from '../api/types';
import { labelOf } from '../format/column';

/** A mart's title, or its name as one. */
export function titleOf(mart: Pick<Mart, 'name' | 'title'>): string {
  return mart.title !== null && mart.title !== undefined && mart.title !== ''
    ? mart.title
    : labelOf(mart.name.replace(/^mart_/, ''));
}
