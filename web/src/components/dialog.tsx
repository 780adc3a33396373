// A window in front of the page. The browser's own dialog keeps the focus inside and gives it back.
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { words } from "../words/words";
import { IconButton } from "./icons";

export function Dialog(props: { title: string; onClose?: () => void; class?: string; children: ComponentChildren }) {
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
  const { onClose } = props;
  useEffect(() => {
    const dialog = element.current;
    if (dialog && !dialog.open) dialog.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={element}
      class={props.class}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose?.();
      }}
      onClick={(event) => {
        if (event.target === element.current) onClose?.();
      }}
    >
      <div class="dialog-content">
        <header>
          <h2 id={id}>{props.title}</h2>
          {onClose ? <IconButton icon="close" label={words().close} onClick={onClose} /> : null}
        </header>
        {props.children}
      </div>
    </dialog>
  );
}
