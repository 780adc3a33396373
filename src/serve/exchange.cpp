#include "serve/exchange.h"

#include <utility>

namespace tessera::serve {

void Exchange::add_headers(const HttpHeaders& headers) {
  const std::lock_guard lock(mutex_);
  headers_.insert(headers_.end(), headers.begin(), headers.end());
}

void Exchange::begin(HttpResponse head) {
  begun_ = true;
  head.headers.insert(head.headers.end(), headers_.begin(), headers_.end());
  output_.head = std::move(head);
}

void Exchange::respond(HttpResponse response) {
  {
    const std::lock_guard lock(mutex_);
    if (begun_) return;
    begin(std::move(response));
    ended_ = true;
    output_.ended = true;
    on_abandoned_ = nullptr;
  }
  notify();
}

void Exchange::begin_stream(HttpResponse head) {
  {
    const std::lock_guard lock(mutex_);
    if (begun_) return;
    begin(std::move(head));
    output_.streams = true;
  }
  notify();
}

void Exchange::write(std::string_view bytes) {
  bool too_slow = false;
  {
    const std::lock_guard lock(mutex_);
    if (!begun_ || ended_ || abandoned_) return;
    output_.bytes += bytes;
    too_slow = output_.bytes.size() > kMostWaitingBytes;
  }
  if (too_slow) abandon();
  notify();
}

void Exchange::end() {
  {
    const std::lock_guard lock(mutex_);
    if (!begun_ || ended_) return;
    ended_ = true;
    output_.ended = true;
    on_abandoned_ = nullptr;
  }
  notify();
}

void Exchange::on_abandoned(std::function<void()> call) {
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    if (!abandoned_) {
      on_abandoned_ = std::move(call);
      return;
    }
  }
  call();
}

bool Exchange::abandoned() const {
  const std::lock_guard lock(mutex_);
  return abandoned_;
}

void Exchange::keep_alive(double seconds, HttpResponse head, std::string bytes) {
  {
    const std::lock_guard lock(mutex_);
    keep_alive_seconds_ = seconds;
    keep_alive_head_ = std::move(head);
    keep_alive_bytes_ = std::move(bytes);
  }
  notify();
}

double Exchange::keep_alive_seconds() const {
  const std::lock_guard lock(mutex_);
  return keep_alive_seconds_;
}

void Exchange::send_keep_alive() {
  const std::lock_guard lock(mutex_);
  if (ended_ || abandoned_ || keep_alive_seconds_ <= 0) return;
  if (!begun_) {
    begin(std::move(keep_alive_head_));
    output_.streams = true;
  }
  output_.bytes += keep_alive_bytes_;
}

Exchange::Output Exchange::take() {
  const std::lock_guard lock(mutex_);
  Output taken = std::move(output_);
  output_ = Output{};
  output_.streams = taken.streams;
  output_.ended = taken.ended;
  return taken;
}

void Exchange::on_output(std::function<void()> call) {
  const std::lock_guard lock(mutex_);
  on_output_ = std::move(call);
}

void Exchange::abandon() {
  std::function<void()> call;
  {
    const std::lock_guard lock(mutex_);
    if (abandoned_ || ended_) return;
    abandoned_ = true;
    output_.bytes.clear();
    call = std::exchange(on_abandoned_, nullptr);
  }
  if (call) call();
}

void Exchange::notify() {
  std::function<void()> call;
  {
    const std::lock_guard lock(mutex_);
    call = on_output_;
  }
  if (call) call();
}

}  // namespace tessera::serve
