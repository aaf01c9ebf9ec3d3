import { cleanup, render, screen } from '@testing-library/react';
import { afterEach, describe, expect, it } from 'vitest';
import { Result } from '../explore/result';

afterEach(cleanup);

describe('the result of a query', () => {
  const columns = [{ name: 'players', type: 'integer' as const }];
  const question = { kind: 'sql' as const, sql: 'SELECT 7 AS players' };

  it('says what its reader has to know of the tables', () => {
    const meta = { warnings: ['mart_ltv was built by a former definition'] };
    render(<Result table={{ columns, rows: [[7]], meta }} question={question} took={3} />);
    expect(screen.getByText('warning').parentElement?.textContent).toContain(
      'mart_ltv was built by a former definition',
    );
    expect(screen.getByRole('cell', { name: '7' })).toBeTruthy();
  });

  it('says nothing of that where nothing is wrong', () => {
    render(<Result table={{ columns, rows: [[7]], meta: {} }} question={question} took={3} />);
    expect(screen.queryByText('warning')).toBeNull();
  });
});
