// Places of the model graph: sources to the left, what is made of them to the right. Pure.

export interface GraphNode {
  id: string;
  name: string;
  kind: string;
  title?: string | null;
  description?: string | null;
  state?: string | null;
}

export interface GraphEdge {
  from: string;
  to: string;
}

export interface Placed extends GraphNode {
  x: number;
  y: number;
  rank: number;
}

export const nodeWidth = 172;
export const nodeHeight = 26;
const gaps = { least: 34, most: 110 };
const gapY = 8;
export const headRoom = 4;

/** How many steps a node is from the events, by the longest way. */
export function ranks(nodes: GraphNode[], edges: GraphEdge[]): Map<string, number> {
  const incoming = new Map<string, string[]>();
  for (const edge of edges) incoming.set(edge.to, [...(incoming.get(edge.to) ?? []), edge.from]);
  const known = new Map<string, number>();
  const visit = (id: string, path: ReadonlySet<string>): number => {
    const rank = known.get(id);
    if (rank !== undefined) return rank;
    // A model never reads itself, but a drawing should not hang if one did.
    if (path.has(id)) return 0;
    const below = (incoming.get(id) ?? []).map((from) => visit(from, new Set([...path, id])));
    const own = below.length === 0 ? 0 : Math.max(...below) + 1;
    known.set(id, own);
    return own;
  };
  nodes.forEach((node) => visit(node.id, new Set()));
  return known;
}

export interface Layout {
  nodes: Placed[];
  width: number;
  height: number;
}

/** Columns by rank, spread over the room there is; in each the nodes stand near what they read, so that few edges cross. */
export function layOut(nodes: GraphNode[], edges: GraphEdge[], room: number): Layout {
  const linked = new Set(edges.flatMap((edge) => [edge.from, edge.to]));
  const shown = nodes.filter((node) => linked.has(node.id) || node.kind !== 'event');
  const rank = ranks(shown, edges);
  const columns: GraphNode[][] = [];
  for (const node of shown) {
    const own = rank.get(node.id) ?? 0;
    (columns[own] ??= []).push(node);
  }
  const place = new Map<string, number>();
  const neighbours = (id: string, side: 'from' | 'to'): number[] =>
    edges.flatMap((edge) => {
      const other = side === 'from' ? edge.from : edge.to;
      const self = side === 'from' ? edge.to : edge.from;
      const at = self === id ? place.get(other) : undefined;
      return at === undefined ? [] : [at];
    });
  const mean = (values: number[], otherwise: number): number =>
    values.length === 0 ? otherwise : values.reduce((sum, value) => sum + value, 0) / values.length;
  const settle = (column: GraphNode[]): void =>
    column.forEach((node, index) => place.set(node.id, index / Math.max(1, column.length - 1)));
  columns.forEach((column) => {
    column.sort((a, b) => a.name.localeCompare(b.name));
    settle(column);
  });
  for (let round = 0; round < 6; round += 1) {
    const side = round % 2 === 0 ? 'from' : 'to';
    for (const column of side === 'from' ? columns : [...columns].reverse()) {
      const wanted = new Map(
        column.map((node) => [node.id, mean(neighbours(node.id, side), place.get(node.id) ?? 0)]),
      );
      column.sort((a, b) => (wanted.get(a.id) ?? 0) - (wanted.get(b.id) ?? 0));
      settle(column);
    }
  }
  const free = (room - columns.length * nodeWidth) / Math.max(1, columns.length - 1);
  const gapX = Math.min(gaps.most, Math.max(gaps.least, Math.floor(free)));
  const most = Math.max(1, ...columns.map((column) => column.length));
  const height = headRoom + most * (nodeHeight + gapY);
  const placed = columns.flatMap((column, own) => {
    const each = (height - headRoom) / column.length;
    return column.map((node, index): Placed => ({
      ...node,
      rank: own,
      x: own * (nodeWidth + gapX),
      y: headRoom + each * (index + 0.5) - nodeHeight / 2,
    }));
  });
  return { nodes: placed, width: columns.length * (nodeWidth + gapX) - gapX, height };
}

/** A node and all that it is made of, or that is made of it. */
export function related(id: string, edges: GraphEdge[]): Set<string> {
  const found = new Set([id]);
  const walk = (from: 'from' | 'to', to: 'from' | 'to'): void => {
    const queue = [id];
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      for (const edge of edges) {
        if (edge[from] !== next || found.has(edge[to])) continue;
        found.add(edge[to]);
        queue.push(edge[to]);
      }
    }
  };
  walk('to', 'from');
  walk('from', 'to');
  return found;
}
