#include "cli/training_server.h"

#include <exception>
#include <filesystem>
#include <utility>

#include "engine/model_loader.h"
#include "train/checkpoint.h"

namespace tessera::cli {
namespace {

// Training has the machine; a visitor's answers come beside it.
constexpr std::int64_t kMostAnswersAtATime = 4;
// For answers that the checkpoint before is still giving.
constexpr double kSecondsToFinish = 30;

serve::ServiceOptions service_options(const std::string& run, const serve::TrainingView& view) {
  serve::ServiceOptions options;
  std::filesystem::create_directories(run);
  options.sessions.path = (std::filesystem::path(run) / "sessions.db").string();
  options.training = &view;
  return options;
}

serve::HttpServerOptions server_options(std::uint16_t port) {
  serve::HttpServerOptions options;
  options.port = port;
  options.drain_seconds = 1;
  return options;
}

}  // namespace

TrainingServer::TrainingServer(std::uint16_t port, const std::string& run, TrainingMonitor& monitor,
                               std::function<void(const std::string&)> note)
    : run_(run),
      monitor_(&monitor),
      note_(std::move(note)),
      service_(service_options(run, monitor)),
      server_(server_options(port), service_) {
  watcher_ = std::thread([this] { watch(); });
  server_thread_ = std::thread([this] { server_.run(); });
}

TrainingServer::~TrainingServer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  watcher_.join();
  service_.stop();
  server_.stop();
  server_thread_.join();
}

void TrainingServer::look_for_checkpoint() {
  {
    const std::lock_guard lock(mutex_);
    look_ = true;
  }
  wake_.notify_all();
}

void TrainingServer::watch() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return look_ || stopping_; });
      if (stopping_) return;
      look_ = false;
    }
    open_newest();
  }
}

void TrainingServer::open_newest() {
  try {
    const std::optional<std::string> newest = train::newest_checkpoint(run_);
    if (!newest || *newest == served_) return;
    auto loaded = std::make_shared<const engine::LoadedModel>(engine::load_model(*newest));
    serve::EngineBackendOptions options;
    options.engine.scheduler.max_sequences = kMostAnswersAtATime;
    service_.change_model(std::move(loaded), options, kSecondsToFinish);
    served_ = *newest;
    monitor_->set_served_checkpoint(std::filesystem::path(*newest).filename().string());
  } catch (const std::exception& error) {
    // Training goes on; the next checkpoint is tried.
    note_(std::string("the live view cannot open the newest checkpoint: ") + error.what());
  }
}

}  // namespace tessera::cli
