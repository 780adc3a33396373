#include "serve/server_status.h"

#include <algorithm>
#include <cmath>

namespace tessera::serve {
namespace {

constexpr double kLongestRetrySeconds = 60;

}  // namespace

void ServerStatus::report(const Progress& progress) {
  const std::lock_guard lock(mutex_);
  progress_ = progress;
}

void ServerStatus::fail(const std::string& error) {
  const std::lock_guard lock(mutex_);
  error_ = error;
}

void ServerStatus::require_ready() const {
  if (draining_) {
    ApiError stopping(503, "the server is stopping", "", "stopping");
    stopping.retry_after_seconds = 1;
    throw stopping;
  }
  if (ready_) return;
  const std::lock_guard lock(mutex_);
  if (!error_.empty()) throw ApiError(503, "the model cannot be loaded: " + error_, "", "model_failed");
  std::string message = "the model is being loaded";
  double left = 1;
  if (progress_ && progress_->total > 0) {
    message += fmt::format(": {} of {} {}", progress_->done, progress_->total, progress_->unit);
    left = std::max(progress_->eta(), 1.0);
  }
  ApiError loading(503, message, "", "model_loading");
  loading.retry_after_seconds = static_cast<int>(std::ceil(std::min(left, kLongestRetrySeconds)));
  throw loading;
}

Json ServerStatus::health() const {
  if (draining_) return {{"status", "stopping"}};
  if (ready_) return {{"status", "ok"}};
  const Json why = error();
  if (!why.is_null()) return {{"status", "failed"}, {"error", why}};
  return {{"status", "loading"}, {"progress", progress()}};
}

Json ServerStatus::progress() const {
  const std::lock_guard lock(mutex_);
  if (ready_ || !progress_) return {};
  const double left = progress_->eta();
  return {{"stage", progress_->stage},
          {"done", progress_->done},
          {"total", progress_->total},
          {"bytes_per_second", progress_->per_second},
          {"seconds_left", left < 0 ? Json() : Json(left)}};
}

Json ServerStatus::error() const {
  const std::lock_guard lock(mutex_);
  return error_.empty() ? Json() : Json(error_);
}

}  // namespace tessera::serve
