// Markdown on the page: the nodes of tree.ts as elements. Everything a text says arrives as text.
import { type Signal, useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { Component, type ComponentChild, type VNode, h } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { CodeBlock } from "./code_block";
import { IncrementalMarkdown, type MarkdownBlock } from "./incremental";
import { words } from "../words/words";
import type { MarkdownNode } from "./tree";

let mathematics: typeof import("./mathematics") | null = null;

function Formula({ formula, display }: { formula: string; display: boolean }) {
  const element = useRef<HTMLSpanElement>(null);
  useLayoutEffect(() => {
    let gone = false;
    const show = () => {
      if (gone || !element.current || !mathematics) return;
      const good = mathematics.renderFormula(formula, display, element.current);
      if (!good) element.current.textContent = formula;
      element.current.dataset["formula"] = good ? "yes" : "no";
    };
    if (mathematics) show();
    else {
      void import("./mathematics").then((module) => {
        mathematics = module;
        show();
      });
    }
    return () => {
      gone = true;
    };
  }, [formula, display]);
  return <span ref={element} class={display ? "formula display" : "formula"} />;
}

function hostOf(address: string): string {
  const url = new URL(address);
  return url.protocol === "mailto:" ? url.pathname : url.host;
}

function textOf(nodes: readonly MarkdownNode[]): string {
  return nodes
    .map((node) => ("text" in node ? node.text : "children" in node ? textOf(node.children) : ""))
    .join("");
}

// Where it leads is always to be seen; nothing is fetched before a person asks for it.
function Link({ address, children, text }: { address: string; children: ComponentChild; text: string }) {
  const host = hostOf(address);
  const shown = text.includes(host);
  return (
    <a href={address} target="_blank" rel="noopener noreferrer nofollow ugc" title={address} referrerpolicy="no-referrer">
      {children}
      {shown ? null : <span class="link-host"> ({host})</span>}
    </a>
  );
}

function render(node: MarkdownNode, key: number): ComponentChild {
  switch (node.kind) {
    case "text":
      return node.text;
    case "code":
      return <code key={key}>{node.text}</code>;
    case "code_block":
      return <CodeBlock key={key} language={node.language} text={node.text} closed={node.closed} />;
    case "math":
      return <Formula key={key} formula={node.formula} display={node.display} />;
    case "task":
      return <input key={key} type="checkbox" checked={node.done} disabled aria-label={node.done ? words().taskDone : words().taskOpen} />;
    case "link":
      return (
        <Link key={key} address={node.address} text={textOf(node.children)}>
          {node.children.map(render)}
        </Link>
      );
    case "image":
      return node.address === null ? (
        node.text
      ) : (
        <Link key={key} address={node.address} text={node.text}>
          🖼 {node.text || "image"}
        </Link>
      );
    case "element": {
      const props: Record<string, unknown> = { key };
      if (node.start !== undefined) props["start"] = node.start;
      if (node.align !== undefined) props["class"] = `align-${node.align}`;
      const children = node.children.map(render);
      const element = h(node.tag, props, children);
      return node.tag === "table" ? (
        <div key={key} class="table-holder" tabIndex={0}>
          {element}
        </div>
      ) : (
        element
      );
    }
  }
}

// Drawn again only when its nodes are others.
class Block extends Component<{ block: MarkdownBlock }> {
  override shouldComponentUpdate(next: { block: MarkdownBlock }): boolean {
    return next.block.nodes !== this.props.block.nodes;
  }
  override render(): VNode {
    return <>{this.props.block.nodes.map(render)}</>;
  }
}

export function Blocks({ blocks }: { blocks: readonly MarkdownBlock[] }) {
  return (
    <div class="markdown">
      {blocks.map((block) => (
        <Block key={block.key} block={block} />
      ))}
    </div>
  );
}

export function Markdown({ text }: { text: string }) {
  const blocks = useMemo(() => new IncrementalMarkdown().update(text), [text]);
  return <Blocks blocks={blocks} />;
}

// Text that grows. Reading it may take a quarter of the time at most, however slow the machine or odd the text.
export function GrowingMarkdown({ text }: { text: Signal<string> }) {
  const markdown = useMemo(() => new IncrementalMarkdown(), []);
  const blocks = useSignal<readonly MarkdownBlock[]>([]);
  const pending = useRef<ReturnType<typeof setTimeout> | null>(null);
  const notBefore = useRef(0);
  const update = () => {
    pending.current = null;
    const begin = performance.now();
    blocks.value = markdown.update(text.peek());
    const spent = performance.now() - begin;
    notBefore.current = begin + spent * 4;
  };
  useSignalEffect(() => {
    void text.value;
    if (pending.current !== null) return;
    const wait = notBefore.current - performance.now();
    if (wait <= 0) update();
    else pending.current = setTimeout(update, wait);
  });
  useEffect(() => () => clearTimeout(pending.current ?? undefined), []);
  const shown = useComputed(() => <Blocks blocks={blocks.value} />);
  return <>{shown}</>;
}
