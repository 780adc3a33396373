// A component that is drawn again only when one of its properties is another object. (Signals it reads redraw it too.)
import { Component, type FunctionComponent, type VNode, createElement } from "preact";

export function memo<P extends object>(inner: FunctionComponent<P>) {
  return class Memo extends Component<P> {
    override shouldComponentUpdate(next: P): boolean {
      const now = this.props as Record<string, unknown>;
      return Object.entries(next).some(([name, value]) => now[name] !== value);
    }
    override render(): VNode {
      return createElement(inner as FunctionComponent, this.props as object) as VNode;
    }
  };
}
