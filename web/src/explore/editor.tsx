import {
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
  type Completion,
} from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { PostgreSQL, sql } from '@codemirror/lang-sql';
import { HighlightStyle, bracketMatching, syntaxHighlighting } from '@codemirror/language';
import { Compartment, EditorState, Prec, type Extension } from '@codemirror/state';
import {
  EditorView,
  drawSelection,
  highlightSpecialChars,
  keymap,
  lineNumbers,
} from '@codemirror/view';
import { tags } from '@lezer/highlight';
import { useEffect, useRef } from 'react';
import type { Catalog } from '../api/types';

interface Props {
  text: string;
  catalog: Catalog | undefined;
  onChange: (text: string) => void;
  onRun: () => void;
}

const highlighting = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword], color: 'var(--syntax-keyword)', fontWeight: '600' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--syntax-string)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--syntax-number)' },
  { tag: [tags.lineComment, tags.blockComment], color: 'var(--syntax-comment)' },
  { tag: tags.typeName, color: 'var(--accent-text)' },
]);

const theme = EditorView.theme({
  '&': { color: 'var(--text)', backgroundColor: 'var(--card)', fontSize: '14px' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': {
    fontFamily: "ui-monospace, 'SF Mono', 'Cascadia Mono', Menlo, Consolas, monospace",
    lineHeight: '1.55',
    minHeight: '168px',
    maxHeight: '46vh',
    overflow: 'auto',
  },
  '.cm-content': { caretColor: 'var(--text)', padding: '10px 0' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '.cm-gutters': { backgroundColor: 'var(--card)', color: 'var(--text-2)', border: '0' },
  '&.cm-focused .cm-selectionBackground, .cm-selectionBackground': {
    backgroundColor: 'var(--accent-soft) !important',
  },
  '.cm-tooltip': {
    backgroundColor: 'var(--raised)',
    color: 'var(--text)',
    border: '1px solid var(--line)',
    borderRadius: '8px',
    overflow: 'hidden',
  },
  '.cm-tooltip-autocomplete > ul > li[aria-selected]': {
    backgroundColor: 'var(--accent)',
    color: 'var(--on-accent)',
  },
  '.cm-completionDetail': { marginLeft: '1em', opacity: '0.8' },
  '.cm-matchingBracket': { backgroundColor: 'var(--accent-soft)' },
});

/** The catalogue as the completion wants it; tables of the star schema also by their bare names. */
export function languageOf(catalog: Catalog | undefined): Extension {
  const schema: Record<string, Record<string, Completion[]>> = {};
  for (const each of catalog?.schemas ?? []) {
    const tables: Record<string, Completion[]> = {};
    for (const table of each.tables) {
      tables[table.name] = table.columns.map((column) => ({
        label: column.name,
        type: 'property',
        detail: column.type,
        ...(column.description ? { info: column.description } : {}),
      }));
    }
    schema[each.name] = tables;
  }
  const support = sql({
    dialect: PostgreSQL,
    schema,
    defaultSchema: 'star',
    upperCaseKeywords: true,
  });
  const functions: Completion[] = (catalog?.functions ?? []).map((each) => ({
    label: each.name,
    type: 'function',
    detail: each.syntax ?? each.kind ?? 'function',
    apply: `${each.name}(`,
    ...(each.description ? { info: each.description } : {}),
  }));
  return [
    support,
    PostgreSQL.language.data.of({
      autocomplete: (context: {
        matchBefore: (pattern: RegExp) => { from: number; text: string } | null;
      }) => {
        const word = context.matchBefore(/\w+$/);
        return word === null || word.text.length < 2
          ? null
          : { from: word.from, options: functions, validFor: /^\w*$/ };
      },
    }),
  ];
}

/**
 * SQL with completion. It lives in a shadow root: there its styles are constructed sheets, which the content security
 * policy allows, while a style element would be refused. Tab leaves the editor; Ctrl+Enter runs.
 */
export default function Editor({ text, catalog, onChange, onRun }: Props): React.JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const calls = useRef({ onChange, onRun });
  const language = useRef(new Compartment());
  const first = useRef({ text, catalog });

  useEffect(() => {
    calls.current = { onChange, onRun };
  }, [onChange, onRun]);

  useEffect(() => {
    const element = host.current;
    if (element === null) return;
    const root = element.shadowRoot ?? element.attachShadow({ mode: 'open' });
    const editor = new EditorView({
      parent: root,
      root,
      state: EditorState.create({
        doc: first.current.text,
        extensions: [
          Prec.highest(
            keymap.of([
              {
                key: 'Mod-Enter',
                run: () => {
                  calls.current.onRun();
                  return true;
                },
              },
            ]),
          ),
          lineNumbers(),
          highlightSpecialChars(),
          history(),
          drawSelection(),
          bracketMatching(),
          closeBrackets(),
          autocompletion({ activateOnTyping: true }),
          keymap.of([
            ...closeBracketsKeymap,
            ...completionKeymap,
            ...historyKeymap,
            ...defaultKeymap,
          ]),
          syntaxHighlighting(highlighting),
          theme,
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ 'aria-label': 'SQL', spellcheck: 'false' }),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) calls.current.onChange(update.state.doc.toString());
          }),
          language.current.of(languageOf(first.current.catalog)),
        ],
      }),
    });
    view.current = editor;
    return () => {
      editor.destroy();
      view.current = null;
    };
  }, []);

  useEffect(() => {
    view.current?.dispatch({ effects: language.current.reconfigure(languageOf(catalog)) });
  }, [catalog]);

  useEffect(() => {
    const editor = view.current;
    if (editor === null || editor.state.doc.toString() === text) return;
    editor.dispatch({
      changes: { from: 0, to: editor.state.doc.length, insert: text },
      selection: { anchor: text.length },
    });
  }, [text]);

  return <div ref={host} className="editor" data-editor />;
}
