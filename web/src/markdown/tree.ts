// Markdown (CommonMark, tables, strikethrough, mathematics) as a tree of a few known kinds of nodes. There is no kind
// for raw HTML: a text can only become what stands here, whatever it contains.
import MarkdownItFactory, { type Env, type Token } from "markdown-it";
import { addMathematics } from "./math_rule";

export const elementTags = [
  "p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "hr", "br", "em", "strong", "s", "table",
  "thead", "tbody", "tr", "th", "td",
] as const;
export type ElementTag = (typeof elementTags)[number];

export type MarkdownNode =
  | { kind: "text"; text: string }
  | { kind: "element"; tag: ElementTag; children: MarkdownNode[]; start?: number; align?: "left" | "center" | "right" }
  | { kind: "code"; text: string } // in a line
  | { kind: "code_block"; language: string; text: string; closed: boolean }
  | { kind: "math"; formula: string; display: boolean }
  | { kind: "task"; done: boolean }
  | { kind: "link"; address: string; children: MarkdownNode[] }
  | { kind: "image"; address: string | null; text: string }; // shown as a link, never fetched

const tags = new Set<string>(elementTags);
const safeSchemes = new Set(["http:", "https:", "mailto:"]);

// The address a link may have, whole; null: not one that a text may lead to.
export function safeAddress(address: string): string | null {
  try {
    const url = new URL(address);
    return safeSchemes.has(url.protocol) ? url.href : null;
  } catch {
    return null; // relative ones would lead to this server
  }
}

export const markdownParser = MarkdownItFactory({ html: false, linkify: true, breaks: true, typographer: false });
markdownParser.linkify.set({ fuzzyLink: false, fuzzyEmail: false });
addMathematics(markdownParser);

export type ParserState = Env;

function alignOf(token: Token): "left" | "center" | "right" | undefined {
  const found = /text-align:(left|center|right)/.exec(String(token.attrGet("style") ?? ""))?.[1];
  return found as "left" | "center" | "right" | undefined;
}

function plainText(tokens: readonly Token[] | null): string {
  return (tokens ?? []).map((token) => token.content + plainText(token.children)).join("");
}

function leafNode(token: Token): MarkdownNode | null {
  switch (token.type) {
    case "text":
    case "text_special":
    case "html_inline":
    case "html_block":
      return token.content === "" ? null : { kind: "text", text: token.content };
    case "softbreak":
    case "hardbreak":
      return { kind: "element", tag: "br", children: [] };
    case "hr":
      return { kind: "element", tag: "hr", children: [] };
    case "code_inline":
      return { kind: "code", text: token.content };
    case "code_block":
      return { kind: "code_block", language: "", text: token.content.replace(/\n$/, ""), closed: true };
    case "fence":
      return {
        kind: "code_block",
        language: token.info.trim().split(/\s+/)[0] ?? "",
        text: token.content.replace(/\n$/, ""),
        closed: true,
      };
    case "math":
      return { kind: "math", formula: token.content, display: Boolean((token.meta as { display: boolean }).display) };
    case "math_block":
      return { kind: "math", formula: token.content, display: true };
    case "image":
      return {
        kind: "image",
        address: safeAddress(String(token.attrGet("src") ?? "")),
        text: plainText(token.children) || token.content,
      };
    default:
      return token.content === "" ? null : { kind: "text", text: token.content };
  }
}

type Container = Extract<MarkdownNode, { children: MarkdownNode[] }>;

function containerNode(token: Token): Container | null {
  if (token.type === "link_open") {
    const address = safeAddress(String(token.attrGet("href") ?? ""));
    return address === null ? null : { kind: "link", address, children: [] };
  }
  if (!tags.has(token.tag)) return null;
  const node: Container = { kind: "element", tag: token.tag as ElementTag, children: [] };
  if (node.tag === "ol" && token.attrGet("start") !== null) node.start = Number(token.attrGet("start"));
  const align = alignOf(token);
  if (align !== undefined) node.align = align;
  return node;
}

// A list's "[ ] " and "[x] " become boxes.
function markTask(node: Container): void {
  const first = node.children[0];
  const holder = first?.kind === "element" && first.tag === "p" ? first.children : node.children;
  const text = holder[0];
  if (text?.kind !== "text") return;
  const found = /^\[([ xX])\] /.exec(text.text);
  if (!found) return;
  holder[0] = { kind: "text", text: text.text.slice(4) };
  holder.unshift({ kind: "task", done: found[1] !== " " });
}

export function treeOf(tokens: readonly Token[]): MarkdownNode[] {
  const root: MarkdownNode[] = [];
  const stack: { children: MarkdownNode[]; node: Container | null }[] = [{ children: root, node: null }];
  for (const token of tokens) {
    const top = stack[stack.length - 1]!;
    if (token.nesting === 1) {
      // The paragraphs of a tight list are hidden: their text belongs to the item.
      const node = token.hidden ? null : containerNode(token);
      if (node) top.children.push(node);
      stack.push({ children: node ? node.children : top.children, node });
    } else if (token.nesting === -1) {
      if (stack.length > 1) stack.pop();
      if (top.node?.kind === "element" && top.node.tag === "li") markTask(top.node);
    } else if (token.type === "inline") {
      top.children.push(...treeOf(token.children ?? []));
    } else {
      const node = leafNode(token);
      if (node) top.children.push(node);
    }
  }
  return root;
}

export function parseMarkdown(text: string): MarkdownNode[] {
  return treeOf(markdownParser.parse(text, {}));
}
