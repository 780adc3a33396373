// A conversation in chat form: the messages of the branch one stands on, and the answer being written.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Conversation } from "../state/conversation";
import { attempt } from "../state/sessions";
import { words } from "../words/words";
import { Icon, IconButton, Mark } from "./icons";
import { LiveMessage, MessageView, PersonText, UnsavedMessage } from "./message_view";

const drawnAtFirst = 24;
const drawnLater = 16;

// Draws the newest messages at once and earlier ones in pauses, so that a long chat opens as fast as a short one.
export function useDrawnCount(total: number, identity: unknown): number {
  const [drawn, setDrawn] = useState({ identity, count: drawnAtFirst });
  const count = drawn.identity === identity ? drawn.count : drawnAtFirst;
  useEffect(() => {
    if (count >= total) return undefined;
    const more = () => setDrawn({ identity, count: count + drawnLater });
    const timer = setTimeout(() => ("requestIdleCallback" in window ? requestIdleCallback(more, { timeout: 500 }) : more()), 16);
    return () => clearTimeout(timer);
  }, [count, total, identity]);
  return count;
}

// Keeps the end in view while it is in view. A person who scrolls up is left alone.
export function useFollow(identity: unknown) {
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const [away, setAway] = useState(false);
  const following = useRef(true);
  const toEnd = () => {
    following.current = true;
    const element = scroller.current;
    if (element) element.scrollTop = element.scrollHeight;
  };
  useLayoutEffect(toEnd, [identity]);
  useEffect(() => {
    const element = scroller.current;
    if (!element || !content.current) return undefined;
    let before = element.scrollTop;
    const onScroll = () => {
      const distance = element.scrollHeight - element.clientHeight - element.scrollTop;
      if (element.scrollTop < before - 2 && distance > 4) following.current = false;
      else if (distance < 40) following.current = true;
      before = element.scrollTop;
      setAway(distance > 300);
    };
    const grown = new ResizeObserver(() => {
      if (following.current) element.scrollTop = element.scrollHeight;
    });
    element.addEventListener("scroll", onScroll, { passive: true });
    grown.observe(content.current);
    grown.observe(element);
    return () => {
      element.removeEventListener("scroll", onScroll);
      grown.disconnect();
    };
  }, [identity]);
  return { scroller, content, away, toEnd };
}

export function Greeting({ text }: { text: string }) {
  return (
    <div class="greeting">
      <Mark />
      <h2>{text}</h2>
    </div>
  );
}

export function ConversationView({ conversation }: { conversation: Conversation }) {
  const w = words();
  const live = conversation.live.value;
  const path = conversation.path.value;
  const { scroller, content, away, toEnd } = useFollow(conversation);
  // A message that is being continued is shown as it grows.
  const shown = live && live.prefix !== "" ? path.slice(0, -1) : path;
  const count = useDrawnCount(shown.length, conversation);
  const last = path[path.length - 1];
  return (
    <div class="scroller" ref={scroller}>
      <div class="messages" ref={content} role="log" aria-live="off" aria-label={w.chat}>
        {path.length === 0 && !live ? <Greeting text={w.greetingChat} /> : null}
        {shown.length > count ? <p class="faint center">{w.earlier}</p> : null}
        {shown.slice(-count).map((message) => (
          <MessageView key={message.id} conversation={conversation} message={message} />
        ))}
        {live?.question && live.parent.value === (last?.id ?? null) && last?.content !== live.question ? (
          <article class="message user pending">
            <PersonText content={live.question} />
          </article>
        ) : null}
        {live ? <LiveMessage live={live} /> : null}
        {!live && last?.role === "user" && !conversation.unsaved.value ? (
          <button type="button" class="answer-this" onClick={() => void attempt(() => conversation.answerTo(last.id))}>
            <Icon name="retry" /> {w.answerThis}
          </button>
        ) : null}
        <UnsavedMessage conversation={conversation} />
      </div>
      {away ? <IconButton icon="down" label={w.scrollDown} class="to-end" onClick={toEnd} /> : null}
    </div>
  );
}
