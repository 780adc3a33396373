// The field at the foot of the page: text, attachments, Send and Stop.
import { useEffect, useRef, useState } from "preact/hooks";
import {
  type Attachment, longPaste, mostAttachmentBytes, readTextFile, withAttachments,
} from "../state/attachments";
import type { Conversation } from "../state/conversation";
import { draftOf, keepDraft } from "../state/drafts";
import { server } from "../state/server";
import { attempt, current } from "../state/sessions";
import { notify } from "../state/toasts";
import { words } from "../words/words";
import { Icon, IconButton } from "./icons";
import { ContextMeter } from "./meters";
import { rollBack } from "./message_view";
import { editing, isPhone } from "./view_state";

// In a story, what is added must not run into the word before it.
function joined(conversation: Conversation, content: string): string {
  const last = conversation.path.value.at(-1)?.content ?? "";
  return last === "" || /\s$/.test(last) || /^[\s,.;:!?，。；：！？」”]/.test(content) || !/^[\p{L}\p{N}"“(]/u.test(content) || /\p{Script=Han}/u.test(content[0] ?? "")
    ? content
    : ` ${content}`;
}

function AttachmentList(props: { list: readonly Attachment[]; onRemove(index: number): void }) {
  if (props.list.length === 0) return null;
  return (
    <ul class="attachments">
      {props.list.map(({ name, text }, index) => (
        <li key={index}>
          <Icon name="attach" />
          <bdi>{name}</bdi>
          <small>{words().characters(text.length)}</small>
          <IconButton icon="close" label={words().removeAttachment(name)} onClick={() => props.onRemove(index)} />
        </li>
      ))}
    </ul>
  );
}

function editLast(conversation: Conversation): void {
  const last = [...conversation.path.value].reverse().find(({ role }) => role === "user");
  if (last && !conversation.live.value) editing.value = last.id;
}

// The last question and its answer are taken back; the question returns to the field.
export async function undoTurn(conversation: Conversation): Promise<void> {
  const path = conversation.path.value;
  const index = path.findLastIndex(({ role }) => role === "user");
  const last = path[path.length - 1];
  if (!last || conversation.live.value) return;
  const story = conversation.mode.value === "story";
  const from = story ? last : (path[index] ?? last);
  await rollBack(conversation, from.parent);
  if (from.role === "user" && !story) undoneText?.(from.content);
}
let undoneText: ((text: string) => void) | null = null;

export function Composer({ conversation }: { conversation: Conversation }) {
  const w = words();
  const story = conversation.mode.value === "story";
  const live = conversation.live.value;
  const [attachments, setAttachments] = useState<readonly Attachment[]>([]);
  const [empty, setEmpty] = useState(true);
  const field = useRef<HTMLTextAreaElement>(null);
  const file = useRef<HTMLInputElement>(null);
  const draftId = conversation.id;
  const setText = (text: string) => {
    if (!field.current) return;
    field.current.value = text;
    setEmpty(text.trim() === "");
    keepDraft(conversation.id, text);
  };
  useEffect(() => {
    const draft = draftOf(draftId);
    if (field.current && (draft !== "" || field.current.value === "")) {
      field.current.value = draft;
      setEmpty(draft.trim() === "");
    }
    if (!isPhone()) field.current?.focus();
    undoneText = (text) => {
      if (field.current?.value === "") setText(text);
    };
    return () => {
      undoneText = null;
    };
  }, [conversation]);

  const attach = async (files: Iterable<File>) => {
    for (const chosen of files) {
      if (chosen.size > mostAttachmentBytes) {
        notify(w.tooLarge(chosen.name), { error: true });
        continue;
      }
      const attachment = await readTextFile(chosen);
      if (attachment) setAttachments((list) => [...list, attachment]);
      else notify(w.notText(chosen.name), { error: true });
    }
  };
  const send = async () => {
    const typed = field.current?.value ?? "";
    const text = story ? typed : typed.trim();
    const content = withAttachments(text, attachments);
    if (live || !(server.value?.ready ?? true)) return;
    if (content.trim() === "") {
      if (story) await attempt(() => conversation.answerTo(conversation.leaf.value));
      return;
    }
    const kept = attachments;
    const id = conversation.id;
    setText("");
    setAttachments([]);
    const taken = await attempt(() => conversation.send(story ? joined(conversation, content) : content));
    keepDraft(id, field.current?.value ?? "");
    if (taken) return;
    // Refused: what was typed is there again, or will be when the session is opened.
    if (current.value !== conversation) keepDraft(conversation.id, typed);
    else if (field.current?.value === "") setText(typed);
    setAttachments(kept);
  };
  const keys = (event: KeyboardEvent) => {
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey && !(isPhone() && !event.ctrlKey)) {
      event.preventDefault();
      void send();
    } else if (event.key === "ArrowUp" && field.current?.value === "") {
      event.preventDefault();
      editLast(conversation);
    }
  };
  const paste = (event: ClipboardEvent) => {
    const files = event.clipboardData?.files;
    const text = event.clipboardData?.getData("text/plain") ?? "";
    if (files && files.length > 0 && text === "") {
      event.preventDefault();
      void attach(files);
    } else if (text.length > longPaste) {
      event.preventDefault();
      setAttachments((list) => [...list, { name: `${w.pastedText} ${list.length + 1}.txt`, text: text.replace(/\r\n?/g, "\n") }]);
    }
  };
  const nothing = empty && attachments.length === 0;
  const hint = story ? (conversation.path.value.length > 0 ? w.storyHint : w.storyBegin) : isPhone() ? w.messageHintPhone : w.messageHint;
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => {
        event.preventDefault();
        void attach(event.dataTransfer?.files ?? []);
      }}
    >
      <AttachmentList list={attachments} onRemove={(index) => setAttachments(attachments.filter((_, at) => at !== index))} />
      <textarea
        ref={field}
        rows={1}
        dir="auto"
        aria-label={w.message}
        placeholder={hint}
        onInput={(e) => {
          setEmpty(e.currentTarget.value.trim() === "");
          keepDraft(conversation.id, e.currentTarget.value);
        }}
        onKeyDown={keys}
        onPaste={paste}
      />
      <div class="row">
        <IconButton icon="attach" label={w.attach} onClick={() => file.current?.click()} />
        <input
          ref={file}
          type="file"
          multiple
          hidden
          onChange={(e) => {
            void attach([...(e.currentTarget.files ?? [])]);
            e.currentTarget.value = "";
          }}
        />
        <IconButton
          icon="undo"
          label={w.undo}
          disabled={live !== null || conversation.path.value.length === 0}
          onClick={() => void undoTurn(conversation)}
        />
        <ContextMeter conversation={conversation} />
        <span class="spring" />
        {live ? (
          <button type="button" class="send stop" disabled={live.state.value === "stopping"} onClick={() => conversation.stop()}>
            <Icon name="stop" /> {w.stop}
          </button>
        ) : (
          <button
            type="submit"
            class="send"
            disabled={(nothing && !(story && conversation.path.value.length > 0)) || server.value?.ready === false}
          >
            <Icon name="send" /> {story && nothing ? w.continue : w.send}
          </button>
        )}
      </div>
    </form>
  );
}
