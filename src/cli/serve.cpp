#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <limits>
#include <memory>
#include <thread>

#include "base/error.h"
#include "base/standard_folders.h"
#include "cli/commands.h"
#include "cli/open_model.h"
#include "cli/options.h"
#include "cli/progress_bar.h"
#include "cli/sampling_flags.h"
#include "cli/speculative_flags.h"
#include "cli/terminal.h"
#include "engine/model_identity.h"
#include "serve/engine_backend.h"
#include "serve/service.h"
#include "store/session_store.h"

namespace tessera::cli {
namespace {

constexpr int kMostPort = 65535;
constexpr std::int64_t kMostQueue = 1'000'000;
constexpr double kLongestSeconds = 86400;
constexpr double kSecondsUntilLoadingIsShown = 0.5;
constexpr std::int64_t kMostParallel = 4096;
// Tokens of a prompt that a pass may take beside one of each answer.
constexpr std::int64_t kPromptTokensOfAPass = 448;

struct ServeFlags {
  ModelFlags model;
  SamplingFlags sampling;
  std::string host = "127.0.0.1";
  int port = 8080;
  std::string alias;
  std::string api_key;
  std::string api_key_file;
  std::vector<std::string> allowed_hosts;
  std::vector<std::string> cors_origins;
  SpeculativeFlags speculative;
  std::int64_t parallel = 64;
  std::int64_t cache_size = 0;
  std::int64_t queue = 256;
  std::int64_t max_connections = 4096;
  double drain_seconds = 30;
  std::string sessions;
  bool no_sessions = false;
  std::string kv_cache_dir;
  double kv_cache_disk_size = 2;
};

constexpr const char* kFooter = R"(
Answers OpenAI's clients (base URL http://127.0.0.1:8080/v1), Prometheus (/metrics), and plain HTTP:
  curl http://127.0.0.1:8080/chat -H 'Content-Type: application/json' \
       -d '{"user_id": "ada", "user_input": "What is the capital of France?"}'
/openapi.json describes every path. A request may say how to choose tokens; the flags here count where it does not.

Only this machine reaches the server unless --host says otherwise; then give it keys: --api-key-file FILE has
one a line, or TESSERA_API_KEY. Ctrl-C or SIGTERM finishes what is being answered, a second one stops at once.)";

serve::ApiKeys read_keys(const ServeFlags& flags) {
  serve::ApiKeys keys;
  if (!flags.api_key.empty()) keys.add(flags.api_key, "--api-key (TESSERA_API_KEY)");
  if (!flags.api_key_file.empty()) keys.add_file(flags.api_key_file);
  return keys;
}

// Those of the terminal unless said otherwise.
std::string sessions_path(const ServeFlags& flags) {
  if (flags.no_sessions && !flags.sessions.empty()) {
    fail(ErrorKind::bad_usage, "--no-sessions: expected no --sessions with it, found '{}'",
         printable(flags.sessions));
  }
  if (flags.no_sessions) return {};
  return flags.sessions.empty() ? store::default_sessions_path() : flags.sessions;
}

// Keys and values of conversations that rest; none with a size of 0.
std::optional<engine::DiskCacheOptions> disk_cache(const ServeFlags& flags) {
  constexpr double kBytesOfGigabyte = 1e9;
  constexpr double kMostGigabytes = 1e6;
  if (!(flags.kv_cache_disk_size >= 0 && flags.kv_cache_disk_size <= kMostGigabytes)) {
    fail(ErrorKind::bad_usage, "--kv-cache-disk-size: expected 0 to {} gigabytes, found {}", kMostGigabytes,
         flags.kv_cache_disk_size);
  }
  if (flags.kv_cache_disk_size <= 0) return std::nullopt;
  engine::DiskCacheOptions options;
  options.folder =
      flags.kv_cache_dir.empty() ? (cache_folder() / "tessera" / "kv").string() : flags.kv_cache_dir;
  options.max_bytes = static_cast<std::uint64_t>(flags.kv_cache_disk_size * kBytesOfGigabyte);
  return options;
}

// What can be known to be wrong before the model is opened.
serve::HttpServerOptions server_options(const ServeFlags& flags) {
  if (flags.port < 0 || flags.port > kMostPort) {
    fail(ErrorKind::bad_usage, "--port: expected 0 (any free one) to {}, found {}", kMostPort, flags.port);
  }
  if (flags.queue < 0 || flags.queue > kMostQueue) {
    fail(ErrorKind::bad_usage, "--queue: expected 0 to {}, found {}", kMostQueue, flags.queue);
  }
  if (flags.max_connections < 1 || flags.max_connections > kMostQueue) {
    fail(ErrorKind::bad_usage, "--max-connections: expected 1 to {}, found {}", kMostQueue,
         flags.max_connections);
  }
  if (!(flags.drain_seconds >= 0 && flags.drain_seconds <= kLongestSeconds)) {
    fail(ErrorKind::bad_usage, "--drain-seconds: expected 0 to {}, found {}", kLongestSeconds,
         flags.drain_seconds);
  }
  serve::HttpServerOptions options;
  options.host = flags.host;
  options.port = static_cast<std::uint16_t>(flags.port);
  options.max_connections = static_cast<std::size_t>(flags.max_connections);
  options.drain_seconds = flags.drain_seconds;
  options.stop_on_signals = true;
  return options;
}

serve::EngineBackendOptions backend_options(const ServeFlags& flags) {
  if (flags.parallel < 1 || flags.parallel > kMostParallel) {
    fail(ErrorKind::bad_usage, "--parallel: expected 1 to {}, found {}", kMostParallel, flags.parallel);
  }
  if (flags.cache_size < 0) {
    fail(ErrorKind::bad_usage, "--cache-size: expected 0 or more tokens, found {}", flags.cache_size);
  }
  const engine::GeneratorOptions model = generator_options(flags.model);
  return {.engine = {.context_size = model.context_size,
                     .cache_tokens = flags.cache_size,
                     .cache_key_dtype = model.cache_key_dtype,
                     .cache_value_dtype = model.cache_value_dtype,
                     .scheduler = {.max_batch_tokens = flags.parallel + kPromptTokensOfAPass,
                                   .max_sequences = flags.parallel},
                     .max_waiting = flags.queue,
                     .disk_cache = disk_cache(flags)},
          .speculative = speculative_options(flags.speculative)};
}

engine::SamplingOptions default_sampling(const ServeFlags& flags,
                                         const engine::GenerationDefaults& defaults) {
  // As 'tessera chat', so that both answer alike.
  const engine::SamplingOptions fallback{.temperature = 0.4F, .top_k = 40, .top_p = 0.95F, .min_p = 0.05F};
  return sampling_options(flags.sampling, defaults, fallback);
}

void warn_of_open_doors(const ServeFlags& flags, bool has_keys) {
  const std::string host = flags.host;
  const bool loopback = host == "localhost" || host == "::1" || host.starts_with("127.");
  if (!loopback && !has_keys) {
    fmt::print(stderr, "warning: {} is reachable from other machines, and no API keys are set\n", host);
  }
}

// Whose cache it is. A server without one is better than none.
void prepare_disk_cache(const ServeFlags& flags, const std::string& model,
                        std::optional<engine::DiskCacheOptions>& cache) {
  if (!cache) return;
  cache->model =
      engine::model_identity(model, fmt::format("{} {}", flags.model.quantize, flags.model.context_size));
  std::error_code problem;
  std::filesystem::create_directories(cache->folder, problem);
  if (!problem) return;
  fmt::print(stderr, "warning: no cache of keys and values on disk: {}: {}\n", cache->folder,
             problem.message());
  cache.reset();
}

// The model on its way into a server that answers already.
class ModelOnItsWay {
 public:
  ModelOnItsWay(const ServeFlags& flags, serve::Service& service, serve::HttpServer& server)
      : flags_(&flags), service_(&service), server_(&server), path_(model_path(flags.model)) {}
  ~ModelOnItsWay() { wait(); }
  ModelOnItsWay(const ModelOnItsWay&) = delete;
  ModelOnItsWay& operator=(const ModelOnItsWay&) = delete;

  void start(const serve::EngineBackendOptions& options) {
    thread_ = std::thread([this, options] { load_safely(options); });
  }
  // Ends with the server. Throws why the model could not be loaded.
  void finish() {
    wait();
    if (backend_) backend_->stop();
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void wait() {
    if (thread_.joinable()) thread_.join();
  }

  void load_safely(const serve::EngineBackendOptions& options) {
    try {
      load(options);
    } catch (const std::exception& error) {
      if (!server_->stopping()) failure_ = std::current_exception();
      service_->status().fail(error.what());
      server_->stop();
    }
  }

  void load(const serve::EngineBackendOptions& options) {
    ProgressDisplay display(STDERR_FILENO, kSecondsUntilLoadingIsShown);
    bool told = false;
    const auto progress = [&](const Progress& now) {
      if (server_->stopping()) fail(ErrorKind::cancelled, "stopped while the model was being loaded");
      service_->status().report(now);
      if (!told && now.seconds > kSecondsUntilLoadingIsShown) {
        fmt::print(stderr, "{} answers, and loads {}\n", server_->url(), now.subject);
        told = true;
      }
      if (is_terminal(STDERR_FILENO)) display.show(now);
    };
    serve::EngineBackendOptions running = options;
    prepare_disk_cache(*flags_, path_, running.engine.disk_cache);
    backend_ = std::make_unique<serve::EngineBackend>(open_model(flags_->model, path_, progress), running);
    display.clear();
    const engine::LoadedModel& loaded = backend_->loaded();
    serve::ServedModel served{.backend = backend_.get(),
                              .sampling = default_sampling(*flags_, loaded.defaults)};
    if (!flags_->alias.empty()) served.names.push_back(flags_->alias);
    served.names.push_back(loaded.name);
    service_->set_model(std::move(served));
    fmt::print("{} on {}\n", loaded.name, server_->url());
    std::fflush(stdout);
  }

  const ServeFlags* flags_;
  serve::Service* service_;
  serve::HttpServer* server_;
  std::string path_;
  std::unique_ptr<serve::EngineBackend> backend_;
  std::exception_ptr failure_;
  std::thread thread_;
};

void serve_model(const ServeFlags& flags) {
  const serve::HttpServerOptions options = server_options(flags);
  serve::EngineBackendOptions running = backend_options(flags);
  engine::check(default_sampling(flags, {}), std::numeric_limits<TokenId>::max());
  const serve::ServiceOptions access{.keys = read_keys(flags),
                                     .allowed_hosts = flags.allowed_hosts,
                                     .cors_origins = flags.cors_origins,
                                     .sessions = {.path = sessions_path(flags)}};
  running.priorities = access.keys.priorities();
  serve::Service service(access);
  serve::HttpServer server(options, service);
  ModelOnItsWay model(flags, service, server);
  warn_of_open_doors(flags, !access.keys.empty());
  model.start(running);
  server.run();
  model.finish();
}

}  // namespace

void define_serve(CLI::App& app) {
  const auto flags = std::make_shared<ServeFlags>();
  add_model_flags(app, flags->model);
  add_option(app, "--host", flags->host, "address to listen on; 0.0.0.0: reachable from other machines");
  add_option(app, "--port", flags->port, "port to listen on; 0: any free one, which is printed");
  add_option(app, "--alias", flags->alias, "another name for the model in the API");
  add_option(app, "--api-key", flags->api_key, "a key that requests must bring; better by its variable");
  add_option(app, "--api-key-file", flags->api_key_file,
             "file with one key, or its sha256:HASH, a line, and if wanted name=NAME priority=N behind it");
  add_option(app, "--allowed-host", flags->allowed_hosts,
             "a host name of this server besides localhost and addresses");
  add_option(app, "--cors-origin", flags->cors_origins,
             "a web page's origin that may ask, e.g. https://chat.example");
  add_option(app, "--parallel", flags->parallel, "answers made at a time, others wait; -np is taken too");
  add_option(
      app, "--cache-size", flags->cache_size,
      "tokens whose keys and values are kept, all answers together; 0: a context for each of --parallel, "
      "within half of the free memory");
  add_speculative_flags(app, flags->speculative);
  add_option(app, "--sessions", flags->sessions,
             "file of the stored conversations; those of 'tessera chat' unless given");
  add_flag(app, "--no-sessions", flags->no_sessions, "forget all conversations when the server ends");
  add_option(app, "--kv-cache-dir", flags->kv_cache_dir,
             "folder for keys and values of conversations that rest; ~/.cache/tessera/kv unless given");
  add_option(app, "--kv-cache-disk-size", flags->kv_cache_disk_size, "gigabytes that it may take; 0: none");
  add_option(app, "--queue", flags->queue, "answers that may wait; more are refused with status 429");
  add_option(app, "--max-connections", flags->max_connections, "connections at once");
  add_option(app, "--drain-seconds", flags->drain_seconds, "when stopping, time for answers to finish");
  add_sampling_flags(app, flags->sampling);
  app.footer(kFooter);
  app.callback([flags] { serve_model(*flags); });
}

}  // namespace tessera::cli
