// The live view of a training run: a server beside it that shows its curves and samples and talks with the
// newest complete checkpoint.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "cli/training_monitor.h"
#include "serve/changing_service.h"
#include "serve/http_server.h"

namespace tessera::cli {

class TrainingServer {
 public:
  // Listens on 127.0.0.1:`port` (0: any free one) and answers from now on. `note` gets a line when a
  // checkpoint cannot be opened; called from a thread of its own. Error io: the port is taken.
  TrainingServer(std::uint16_t port, const std::string& run, TrainingMonitor& monitor,
                 std::function<void(const std::string&)> note);
  // Ends what is being answered.
  ~TrainingServer();
  TrainingServer(const TrainingServer&) = delete;
  TrainingServer& operator=(const TrainingServer&) = delete;

  // Where the page is.
  std::string url() const { return server_.url() + "/training"; }
  // There may be a newer checkpoint. Any thread; returns at once.
  void look_for_checkpoint();

 private:
  void watch();
  void open_newest();

  const std::string run_;
  TrainingMonitor* monitor_;
  std::function<void(const std::string&)> note_;
  serve::ChangingService service_;
  serve::HttpServer server_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool look_ = false;
  bool stopping_ = false;
  std::string served_;  // the path of the checkpoint; of the watcher alone
  std::thread watcher_;
  std::thread server_thread_;
};

}  // namespace tessera::cli
