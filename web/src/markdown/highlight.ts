// Code as coloured pieces. Loaded when the first code block is seen.
import { common, createLowlight } from "lowlight";

export interface CodePiece {
  text: string;
  className: string; // "" or names that begin with hljs-
}

const lowlight = createLowlight(common);
type Root = ReturnType<typeof lowlight.highlight>;
type Content = Root["children"][number];

function collect(nodes: readonly Content[], className: string, into: CodePiece[]): void {
  for (const node of nodes) {
    if (node.type === "text") into.push({ text: node.value, className });
    if (node.type === "element") {
      const names = node.properties["className"];
      collect(node.children, Array.isArray(names) ? names.join(" ") : className, into);
    }
  }
}

// Null: a language that is not known.
export function highlight(language: string, text: string): CodePiece[] | null {
  if (!lowlight.registered(language)) return null;
  const pieces: CodePiece[] = [];
  collect(lowlight.highlight(language, text).children, "", pieces);
  return pieces;
}
