// An answer in OpenAI's form in the making: takes the events of its jobs, from the backend's thread, and
// writes them to the exchange, whole at the end or as a stream of server-sent events.
#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "serve/answer_clock.h"
#include "serve/backend.h"
#include "serve/exchange.h"
#include "serve/openai_format.h"

namespace tessera::serve {

struct CompletionPlan {
  AnswerHead head;
  std::vector<GenerationJob> jobs = {};    // one a prompt
  std::optional<ToolCallForm> tools = {};  // what calls of tools look like in the text
  std::vector<std::string> echoes = {};    // texts that the answers begin with; empty, or one a job
  bool stream = false;
  bool include_usage = false;
};

class CompletionAnswer : public std::enable_shared_from_this<CompletionAnswer> {
 public:
  // `backend` and `metrics` must outlive the answer.
  CompletionAnswer(CompletionPlan plan, std::shared_ptr<Exchange> exchange, Backend& backend,
                   Metrics& metrics);

  // Submits the jobs; they are cancelled when the client goes away. Throws what submit() throws; then
  // nothing is left running.
  void start();

 private:
  struct Choice {
    std::string text;
    std::vector<ToolCall> calls;
    std::optional<ToolCallParser> parser;      // when tools are offered
    std::vector<engine::SampledToken> untold;  // whose log probabilities no chunk has had yet
    Json logprobs;
    std::int64_t text_offset = 0;
    bool begun = false;
    engine::FinishReason reason = engine::FinishReason::length;
  };
  void take(std::size_t job, const GenerationEvent& event);
  void take_pieces(std::size_t index, const GenerationEvent& event);
  void take_delta(std::size_t index, const AnswerDelta& delta);
  void take_result(std::size_t job, const GenerationEvent& event);
  std::size_t job_of(std::size_t index) const;
  Json untold_logprobs(Choice& choice);
  void emit_delta(std::size_t index, const AnswerDelta& delta, const std::string& call_id);
  void emit(const std::string& bytes);
  void emit_chunk(Json choices, const Json* usage = nullptr);
  void fail(const std::string& message);
  void finish();
  void cancel_jobs() const;

  CompletionPlan plan_;
  std::shared_ptr<Exchange> exchange_;
  Backend* backend_;
  AnswerClock clock_;
  std::mutex mutex_;
  std::vector<JobId> ids_;
  std::vector<Choice> choices_;
  std::size_t open_ = 0;  // choices that have not ended
  bool started_ = false;  // all jobs are submitted; until then a stream waits in early_
  bool over_ = false;
  std::string early_;
  engine::Usage usage_;
};

}  // namespace tessera::serve
