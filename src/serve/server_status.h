// What the server is doing: loading its model, ready, or finishing before it stops. Any thread may ask.
#pragma once
#include <atomic>
#include <mutex>
#include <optional>
#include <string>

#include "base/progress.h"
#include "serve/json_fields.h"

namespace tessera::serve {

class ServerStatus {
 public:
  // How far the model is loaded.
  void report(const Progress& progress);
  void set_ready() { ready_ = true; }
  // The model cannot be loaded, and why.
  void fail(const std::string& error);
  void set_draining() { draining_ = true; }

  bool ready() const { return ready_; }
  bool draining() const { return draining_; }

  // ApiError 503 with Retry-After: the model is not there yet, or the server is stopping.
  void require_ready() const;
  // {"status": "ok"}, or another word and the progress; and the HTTP status that goes with it.
  Json health() const;
  int health_status() const { return ready_ && !draining_ ? 200 : 503; }
  // {stage, done, total, bytes_per_second, seconds_left} while loading, else null.
  Json progress() const;
  // A text, or null.
  Json error() const;

 private:
  std::atomic<bool> ready_{false};
  std::atomic<bool> draining_{false};
  mutable std::mutex mutex_;
  std::optional<Progress> progress_;
  std::string error_;
};

}  // namespace tessera::serve
