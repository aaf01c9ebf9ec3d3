import { cleanup, fireEvent, render, screen } from '@testing-library/react';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ApiError } from '../api/client';
import { Card } from '../components/card';
import { DataTable } from '../components/data-table';

afterEach(cleanup);

const table = {
  columns: [
    { name: 'platform', type: 'text' as const },
    { name: 'players', type: 'integer' as const },
  ],
  rows: [
    ['ios', 7],
    ['android', 1200],
    ['web', null],
  ],
};

describe('a card', () => {
  it('says that it waits, that there is nothing, and what failed', () => {
    const retry = vi.fn();
    const { rerender } = render(<Card title="Sessions" loading />);
    expect(screen.getByRole('status').textContent).toBe('Loading…');
    rerender(<Card title="Sessions" empty="Nothing in these days." />);
    expect(screen.getByText('Nothing in these days.')).toBeTruthy();
    const error = new ApiError(400, {
      detail: 'the request is not valid',
      errors: [{ parameter: 'from', message: 'is no day', allowed: 'YYYY-MM-DD' }],
    });
    rerender(<Card title="Sessions" error={error} retry={retry} />);
    expect(screen.getByRole('alert').textContent).toContain('from: is no day; allowed: YYYY-MM-DD');
    fireEvent.click(screen.getByRole('button', { name: 'Try again' }));
    expect(retry).toHaveBeenCalledOnce();
  });

  it('shows its numbers as a table and back', () => {
    render(
      <Card title="Sessions" table={table}>
        <p>the chart</p>
      </Card>,
    );
    expect(screen.getByText('the chart')).toBeTruthy();
    fireEvent.click(screen.getByRole('button', { name: 'Show Sessions as a table' }));
    expect(screen.getByRole('cell', { name: '1,200' })).toBeTruthy();
    expect(screen.queryByText('the chart')).toBeNull();
    fireEvent.click(screen.getByRole('button', { name: 'Show Sessions as a chart' }));
    expect(screen.getByText('the chart')).toBeTruthy();
  });

  it('has its definition at hand', () => {
    render(
      <Card title="Sessions" definitions={[['Sessions', 'Whose first event falls on the day.']]} />,
    );
    const button = screen.getByRole('button', { name: 'What Sessions means' });
    const tip = screen.getByRole('tooltip', { hidden: true });
    expect(button.getAttribute('aria-describedby')).toBe(tip.id);
    fireEvent.focus(button);
    expect(tip.className).toContain('open');
    fireEvent.keyDown(button, { key: 'Escape' });
    expect(tip.className).not.toContain('open');
  });
});

describe('a table', () => {
  const first = (): (string | null)[] =>
    screen
      .getAllByRole('row')
      .slice(1)
      .map((row) => row.firstElementChild?.textContent ?? null);

  it('is sorted by a click: numbers downwards first, missing ones last', () => {
    render(<DataTable label="Platforms" columns={table.columns} rows={table.rows} />);
    expect(first()).toEqual(['ios', 'android', 'web']);
    fireEvent.click(screen.getByRole('button', { name: 'Players' }));
    expect(first()).toEqual(['android', 'ios', 'web']);
    fireEvent.click(screen.getByRole('button', { name: /Players/ }));
    expect(first()).toEqual(['ios', 'android', 'web']);
  });

  it('comes in pages', () => {
    render(<DataTable label="Platforms" columns={table.columns} rows={table.rows} pageSize={2} />);
    expect(first()).toEqual(['ios', 'android']);
    fireEvent.click(screen.getByRole('button', { name: 'Next' }));
    expect(first()).toEqual(['web']);
  });
});
