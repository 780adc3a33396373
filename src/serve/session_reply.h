// Answers in stored conversations: the question is on the disk before it is answered, the answer before it is
// said to be done, and what there was of it when it is broken off.
#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "serve/metrics.h"
#include "serve/openai_api.h"
#include "serve/reply_output.h"
#include "serve/store_workers.h"

namespace tessera::serve {

struct ReplyRequest {
  std::optional<store::MessageId> parent = {};  // what is answered, or below which `content` is stored
  std::optional<std::string> content = {};      // a user's message
  Json parameters = Json::object();             // over those of the session, for this answer
  std::int64_t logprobs = -1;
  bool continues = false;  // `parent` is an answer that goes on, as a sibling of it
  std::int64_t most_tokens = -1;
  const char* content_field = "content";  // its name in errors
};

class SessionReplies {
 public:
  // All must outlive the replies; `served` is set before the first of them.
  SessionReplies(const ServedModel& served, Metrics& metrics, StoreWorkers& workers)
      : served_(&served), metrics_(&metrics), workers_(&workers) {}

  // POST /api/sessions/{id}/reply.
  void handle(const std::shared_ptr<Exchange>& exchange);

  // In a thread of the store: stores the question and submits the answer, which goes to `output`. ApiError
  // 400 naming the field; 409: this session is being answered already; 429. Nothing is stored then.
  void begin(store::SessionStore& store, const store::Session& session, const ReplyRequest& request,
             const std::shared_ptr<Exchange>& exchange, std::unique_ptr<ReplyOutput> output);

  const ServedModel& served() const { return *served_; }
  StoreWorkers& workers() { return *workers_; }

 private:
  class Reply;
  class Claim;

  const ServedModel* served_;
  Metrics* metrics_;
  StoreWorkers* workers_;
  std::mutex mutex_;
  std::set<store::SessionId> answering_;
};

}  // namespace tessera::serve
