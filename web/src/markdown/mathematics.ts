// Formulas, loaded when the first one is seen. KaTeX builds nodes, no markup; nothing it is told is trusted.
import { type KatexOptions, render } from "katex";

const limits: KatexOptions = {
  trust: false, // no links, classes, styles or images from a formula
  strict: "ignore",
  maxExpand: 300,
  maxSize: 20,
  throwOnError: true,
};

// False: not a formula that can be shown.
export function renderFormula(formula: string, display: boolean, into: HTMLElement): boolean {
  try {
    render(formula, into, { ...limits, displayMode: display });
    return true;
  } catch {
    return false;
  }
}
