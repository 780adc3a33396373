// One message with what may be done to it.
import { memo } from "../state/memo";
import { useState } from "preact/hooks";
import type { Message } from "../api/types";
import { CodeBlock } from "../markdown/code_block";
import { GrowingMarkdown, Markdown } from "../markdown/markdown";
import { partsOf } from "../state/attachments";
import type { Conversation, LiveAnswer } from "../state/conversation";
import { attempt } from "../state/sessions";
import { notify } from "../state/toasts";
import { fullNumber, seconds, timeOf, words } from "../words/words";
import { copyText } from "./copy";
import { Icon, IconButton } from "./icons";
import { LiveMeter } from "./meters";
import { TokenView } from "./token_view";
import { ask, editing } from "./view_state";

export function PersonText({ content }: { content: string }) {
  return (
    <div class="person-text">
      {partsOf(content).map((part, at) =>
        part.kind === "file" ? (
          <CodeBlock key={at} language={part.language} name={part.name} text={part.text} closed fold />
        ) : (
          <div key={at} class="plain" dir="auto">
            {part.text}
          </div>
        ),
      )}
    </div>
  );
}

export function Versions({ conversation, message }: { conversation: Conversation; message: Message }) {
  const { index, ids } = conversation.tree.value.versions(message.id);
  const w = words();
  if (ids.length < 2) return null;
  const busy = conversation.live.value !== null;
  const go = (to: number) => void attempt(() => conversation.switchTo(ids[to]!));
  return (
    <span class="versions" role="group" aria-label={w.version(index + 1, ids.length)}>
      <IconButton icon="previous" label={w.previousVersion} disabled={busy || index === 0} onClick={() => go(index - 1)} />
      <span aria-hidden="true">
        {index + 1}/{ids.length}
      </span>
      <IconButton icon="next" label={w.nextVersion} disabled={busy || index === ids.length - 1} onClick={() => go(index + 1)} />
    </span>
  );
}

// Back to `message`; what followed stays on its branch, and one click brings it back.
export async function rollBack(conversation: Conversation, message: number | null): Promise<void> {
  await attempt(() => conversation.goTo(message));
  const before = conversation.lastUndone.value;
  if (before === null) return;
  notify(words().undone, { action: { label: words().redo, run: () => void attempt(() => conversation.goTo(before)) } });
}

export function Measures({ conversation, message }: { conversation: Conversation; message: Message }) {
  const w = words();
  const finished = conversation.finished.value.get(message.id);
  const parts: string[] = [];
  const rate =
    finished?.timings.tokens_per_second ??
    (message.completion_tokens && message.decode_seconds ? message.completion_tokens / message.decode_seconds : null);
  if (rate) parts.push(w.tokensPerSecond(rate.toFixed(rate < 100 ? 1 : 0)));
  if (finished) parts.push(w.firstToken(seconds(finished.timings.first_token_seconds)));
  if (message.completion_tokens !== null) parts.push(w.tokens(message.completion_tokens));
  const reason = message.finish_reason === null ? undefined : w.finishReasons[message.finish_reason];
  const title = finished
    ? w.cachedOf(fullNumber(finished.usage.cached_tokens), fullNumber(finished.usage.prompt_tokens))
    : timeOf(message.created_at);
  return (
    <span class="measure" title={title}>
      {reason ? <span class="reason">{reason}</span> : null}
      {parts.join(" · ")}
    </span>
  );
}

function EditMessage({ conversation, message }: { conversation: Conversation; message: Message }) {
  const [text, setText] = useState(message.content);
  const w = words();
  const own = message.role === "user";
  const close = () => (editing.value = null);
  const save = () => {
    if (text.trim() === "") return;
    close();
    void attempt<unknown>(() =>
      own ? conversation.edit(message, text) : conversation.storeVersion(message.parent, message.role, text),
    );
  };
  return (
    <div class="edit-message">
      <textarea
        aria-label={w.edit}
        value={text}
        ref={(element) => {
          if (element && document.activeElement !== element && !element.dataset["seen"]) {
            element.dataset["seen"] = "yes";
            element.focus();
            element.setSelectionRange(element.value.length, element.value.length);
          }
        }}
        onInput={(e) => setText(e.currentTarget.value)}
        onKeyDown={(e) => {
          if (e.key === "Escape") {
            e.stopPropagation();
            close();
          } else if (e.key === "Enter" && (e.ctrlKey || e.metaKey || (own && !e.shiftKey)) && !e.isComposing) {
            e.preventDefault();
            save();
          }
        }}
      />
      <div class="row">
        <button type="button" class="primary" onClick={save}>
          {own ? w.saveAndSend : w.saveVersion}
        </button>
        <button type="button" onClick={close}>
          {w.cancel}
        </button>
      </div>
    </div>
  );
}

// Answers that did not come to their own end, and can go on.
const cutShort = new Set(["length", "cancelled", "error"]);

function Actions(props: { conversation: Conversation; message: Message; tokens: boolean; onTokens?: () => void }) {
  const { conversation, message } = props;
  const w = words();
  const busy = conversation.live.value !== null;
  const last = conversation.leaf.value === message.id;
  const [copied, setCopied] = useState(false);
  const copy = () => {
    void copyText(message.content).then(() => setCopied(true));
    setTimeout(() => setCopied(false), 1500);
  };
  return (
    <div class="actions">
      <Versions conversation={conversation} message={message} />
      {message.role === "assistant" ? <Measures conversation={conversation} message={message} /> : null}
      {message.role === "assistant" && last && cutShort.has(message.finish_reason ?? "") ? (
        <button type="button" class="quiet" disabled={busy} onClick={() => void attempt(() => conversation.continueText(message))}>
          <Icon name="next" /> {w.continue}
        </button>
      ) : null}
      <IconButton icon={copied ? "check" : "copy"} label={copied ? w.copied : w.copyMessage} onClick={copy} />
      <IconButton icon="edit" label={w.edit} disabled={busy} onClick={() => (editing.value = message.id)} />
      {message.role === "assistant" ? (
        <IconButton icon="retry" label={w.regenerate} disabled={busy} onClick={() => void attempt(() => conversation.regenerate(message))} />
      ) : null}
      {props.onTokens ? (
        <IconButton
          icon="tokens"
          label={props.tokens ? w.hideProbabilities : w.showProbabilities}
          pressed={props.tokens}
          onClick={props.onTokens}
        />
      ) : null}
      {last ? null : (
        <IconButton icon="rollback" label={w.rollback} disabled={busy} onClick={() => void rollBack(conversation, message.id)} />
      )}
      <IconButton
        icon="trash"
        label={w.delete}
        disabled={busy}
        onClick={() => ask(w.deleteMessage, w.delete, () => void attempt(() => conversation.deleteBelow(message)))}
      />
    </div>
  );
}

export const MessageView = memo(function MessageView(props: { conversation: Conversation; message: Message }) {
  const { conversation, message } = props;
  const [showTokens, setShowTokens] = useState(false);
  const w = words();
  const tokens = conversation.tokens.get(message.id);
  const toggleTokens = () =>
    void attempt(async () => {
      await conversation.loadTokens(message);
      setShowTokens(!showTokens);
    });
  const name = { user: w.you, assistant: w.model, system: w.system, tool: w.tool }[message.role];
  const own = message.role === "user";
  return (
    <article id={`message-${message.id}`} class={`message ${message.role}`} aria-label={name}>
      {editing.value === message.id ? (
        <EditMessage conversation={conversation} message={message} />
      ) : own || message.role === "system" ? (
        <PersonText content={message.content} />
      ) : showTokens && tokens ? (
        <TokenView
          tokens={tokens}
          whole={message.content}
          onBranch={(index, text) => void attempt(() => conversation.branchAtToken(message, index, text))}
        />
      ) : (
        <Markdown text={message.content} />
      )}
      {editing.value === message.id ? null : (
        <Actions
          conversation={conversation}
          message={message}
          tokens={showTokens}
          {...(conversation.hasProbabilities(message) ? { onTokens: toggleTokens } : {})}
        />
      )}
    </article>
  );
});

// The answer as it is being written.
export function LiveMessage({ live }: { live: LiveAnswer }) {
  const [showTokens, setShowTokens] = useState(false);
  const w = words();
  const begun = live.tokenCount.value > 0;
  const withProbabilities = live.tokens.some(({ logprob }) => logprob !== null);
  return (
    <article class="message assistant live" aria-label={w.model} aria-busy="true">
      {showTokens && begun ? (
        <TokenView tokens={[...live.tokens]} whole={live.text.value} />
      ) : begun || live.prefix !== "" ? (
        <GrowingMarkdown text={live.text} />
      ) : (
        <span class="waiting" aria-hidden="true">
          <i />
          <i />
          <i />
          <i />
        </span>
      )}
      <div class="actions shown">
        {withProbabilities ? (
          <IconButton icon="tokens" label={w.showProbabilities} pressed={showTokens} onClick={() => setShowTokens(!showTokens)} />
        ) : null}
        <LiveMeter live={live} />
      </div>
    </article>
  );
}

// What was shown and is not stored: kept until somebody decides.
export function UnsavedMessage({ conversation }: { conversation: Conversation }) {
  const unsaved = conversation.unsaved.value;
  const w = words();
  if (!unsaved) return null;
  const { question, parent, text } = unsaved;
  const retry = () => void attempt(() => (question === null ? conversation.answerTo(parent) : conversation.send(question)));
  const keep = async () => {
    let below = parent;
    if (question !== null) below = (await conversation.storeVersion(below, "user", question))?.id ?? below;
    if (text !== "") await conversation.storeVersion(below, "assistant", text);
    conversation.unsaved.value = null;
  };
  return (
    <section class="unsaved" aria-label={w.unsavedText}>
      <p class="faint">
        {w.unsavedText} {unsaved.reason}
      </p>
      {question === null ? null : (
        <article class="message user">
          <PersonText content={question} />
        </article>
      )}
      {text === "" ? null : (
        <article class="message assistant">
          <Markdown text={text} />
        </article>
      )}
      <div class="row">
        <button type="button" class="primary" onClick={retry}>
          <Icon name="retry" /> {w.tryAgain}
        </button>
        <button type="button" onClick={() => void attempt(keep)}>
          {w.keepUnsaved}
        </button>
        <button type="button" onClick={() => (conversation.unsaved.value = null)}>
          {w.discard}
        </button>
      </div>
    </section>
  );
}
