// A server that behaves like the Hugging Face hub, as far as pulling a model goes: API, redirects to a store
// on another port, ranges, tokens; with switches for what goes wrong in the world.
#pragma once
#include <atomic>
#include <map>
#include <string>

#include "support/http_server.h"

namespace tessera::testing {

struct FakeFile {
  std::string content;
  bool is_lfs = true;               // then it is redirected to the store and has a SHA-256
  std::string wrong_checksum = {};  // told instead of the true one
};

struct FakeHubSwitches {
  std::string token;           // needed when not empty
  bool gated = false;          // 403 for everybody
  bool ignore_ranges = false;  // the whole file, whatever was asked
  bool refuse_ranges = false;  // 416
  bool wrong_range = false;    // 206 of another place
  bool without_checksums = false;
  std::size_t page_size = 1000;  // files a page of the list
  std::size_t bytes_per_millisecond = 0;
  std::size_t cut_after = SIZE_MAX;  // bytes of a download's body
  std::atomic<int> cuts{0};          // so many downloads are cut
  std::atomic<int> busy{0};          // so many downloads answer busy_status first
  int busy_status = 503;
  std::string etag = "\"v1\"";
};

class FakeHub {
 public:
  FakeHub();

  static constexpr const char* kRepository = "user/tiny-GGUF";
  static constexpr const char* kCommit = "0123456789abcdef0123456789abcdef01234567";

  std::map<std::string, FakeFile> files;
  FakeHubSwitches switches;

  std::string url() const { return hub_.url(); }
  std::vector<HttpRequest> hub_requests() const { return hub_.requests(); }
  std::vector<HttpRequest> store_requests() const { return store_.requests(); }

 private:
  HttpAnswer answer_hub(const HttpRequest& request);
  HttpAnswer answer_store(const HttpRequest& request);
  HttpAnswer answer_tree(const std::string& path);
  HttpAnswer answer_file(const HttpRequest& request, const FakeFile& file);

  HttpServer store_;
  HttpServer hub_;
};

}  // namespace tessera::testing
