import { useMemo, useState } from 'react';
import type { Model } from '../api/types';
import { useWidth } from '../charts/size';
import {
  layOut,
  nodeHeight,
  nodeWidth,
  related,
  type GraphEdge,
  type GraphNode,
  type Placed,
} from './layout';

interface Props {
  nodes: GraphNode[];
  edges: GraphEdge[];
  models: Map<string, Model>;
  chosen: string | null;
  onChoose: (id: string | null) => void;
}

/** How a node stands: by its last run first, then by what it has not read yet. */
export function standing(
  node: GraphNode,
  model: Model | undefined,
): 'event' | 'fresh' | 'failed' | 'stale' {
  if (node.kind === 'event') return 'event';
  if (model?.last_run?.state === 'failed' || (model?.last_run?.error ?? null) !== null)
    return 'failed';
  const current = node.state === undefined || node.state === null || node.state === 'current';
  return current && (model?.behind_commits ?? 0) === 0 && (model?.stale_days ?? 0) === 0
    ? 'fresh'
    : 'stale';
}

const spoken = {
  event: 'event type',
  fresh: 'up to date',
  failed: 'last run failed',
  stale: 'not up to date',
};

function curve(from: Placed, to: Placed): string {
  const x1 = from.x + nodeWidth;
  const y1 = from.y + nodeHeight / 2;
  const x2 = to.x;
  const y2 = to.y + nodeHeight / 2;
  const bend = Math.max(24, (x2 - x1) / 2);
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
}

const short = (name: string): string => (name.length > 23 ? `${name.slice(0, 22)}…` : name);

/** The models and what they are made of. A node can be chosen by pointer or keyboard; its relatives light up. */
export function Graph({ nodes, edges, models, chosen, onChoose }: Props): React.JSX.Element {
  const [ref, width] = useWidth<HTMLDivElement>();
  const layout = useMemo(() => layOut(nodes, edges, width - 4), [nodes, edges, width]);
  const [pointed, setPointed] = useState<string | null>(null);
  const focus = pointed ?? chosen;
  const lit = useMemo(() => (focus === null ? null : related(focus, edges)), [focus, edges]);
  const places = new Map(layout.nodes.map((node) => [node.id, node]));
  return (
    <div ref={ref} className="graph" role="region" aria-label="Model graph" tabIndex={0}>
      <svg
        width={layout.width + 2}
        height={layout.height}
        role="group"
        aria-label="Models from left to right"
      >
        {edges.map((edge) => {
          const from = places.get(edge.from);
          const to = places.get(edge.to);
          if (from === undefined || to === undefined) return null;
          const isLit = lit?.has(edge.from) === true && lit.has(edge.to);
          if (lit !== null && !isLit) return null;
          return (
            <path
              key={`${edge.from} ${edge.to}`}
              className={isLit ? 'edge lit' : 'edge'}
              d={curve(from, to)}
            />
          );
        })}
        {layout.nodes.map((node) => {
          const state = standing(node, models.get(node.name));
          const dim = lit !== null && !lit.has(node.id);
          return (
            <g
              key={node.id}
              className={`node ${state}${dim ? ' dim' : ''}${node.id === focus ? ' lit' : ''}`}
              transform={`translate(${node.x + 1} ${node.y})`}
              role="button"
              tabIndex={0}
              aria-label={`${node.name}, ${spoken[state]}`}
              aria-pressed={node.id === chosen}
              onPointerEnter={() => setPointed(node.id)}
              onPointerLeave={() => setPointed(null)}
              onClick={() => onChoose(node.id === chosen ? null : node.id)}
              onKeyDown={(event) => {
                if (event.key !== 'Enter' && event.key !== ' ') return;
                event.preventDefault();
                onChoose(node.id === chosen ? null : node.id);
              }}
            >
              <title>{node.description ?? node.name}</title>
              <rect width={nodeWidth} height={nodeHeight} rx="6" />
              {state !== 'event' && <circle cx="12" cy={nodeHeight / 2} r="4" />}
              <text x={state === 'event' ? 10 : 22} y={nodeHeight / 2} dy="0.34em">
                {short(node.name)}
              </text>
            </g>
          );
        })}
      </svg>
    </div>
  );
}
