#include "serve/status_api.h"

#include "engine/generation.h"

namespace tessera::serve {
namespace {

Json model_json(const ServedModel& served) {
  const engine::LoadedModel& loaded = served.loaded();
  return {{"id", served.names.front()},
          {"name", loaded.name},
          {"architecture", loaded.model->config().architecture},
          {"parameters", loaded.model->parameter_count()},
          {"context_size", served.backend->context_size()},
          {"vocab_size", engine::vocabulary_size(loaded)},
          {"weights_bytes", loaded.model->parameter_bytes()},
          {"chat", loaded.chat_template != nullptr}};
}

// The names that a session's parameters have.
Json defaults_json(const engine::SamplingOptions& sampling) {
  return {{"temperature", sampling.temperature},
          {"top_k", sampling.top_k},
          {"top_p", sampling.top_p},
          {"min_p", sampling.min_p},
          {"repeat_penalty", sampling.repetition_penalty},
          {"frequency_penalty", sampling.frequency_penalty},
          {"presence_penalty", sampling.presence_penalty}};
}

}  // namespace

Json status_json(const ServerStatus& status, const ServedModel& served) {
  const bool ready = status.ready();
  const BackendStatistics now = ready ? served.backend->statistics() : BackendStatistics();
  return {{"ready", ready},
          {"model", ready ? model_json(served) : Json()},
          {"progress", status.progress()},
          {"error", status.error()},
          {"cache", {{"tokens", now.cache_tokens}, {"used_tokens", now.cache_used_tokens}}},
          {"running", now.running},
          {"waiting", now.waiting},
          {"version", TESSERA_VERSION},
          {"defaults", defaults_json(ready ? served.sampling : engine::SamplingOptions())}};
}

}  // namespace tessera::serve
