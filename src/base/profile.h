// Where the time of a computation goes, by operation: operations time themselves while a profile is installed
// for the calling thread, and cost one test of a pointer while none is.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace tessera {

struct ProfileEntry {
  std::string operation;
  std::int64_t calls = 0;
  double seconds = 0;  // without the operations called from within
};

class Profile {
 public:
  void add(std::string_view operation, double seconds);
  // The longest first.
  std::vector<ProfileEntry> entries() const;
  double seconds() const;  // of all entries together

 private:
  struct Total {
    std::int64_t calls = 0;
    double seconds = 0;
  };
  std::map<std::string, Total, std::less<>> totals_;
};

// Operations that this thread calls during the scope's life are counted in `profile`, which must outlive it.
class ProfileScope {
 public:
  explicit ProfileScope(Profile& profile);
  ~ProfileScope();
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

 private:
  Profile* outer_;
};

// The first statement of an operation. A timer within another takes its time from it.
class ProfileTimer {
 public:
  explicit ProfileTimer(std::string_view operation) {
    if (active() != nullptr) start(std::string(operation));
  }
  // `describe()` → std::string, called only while a profile is installed.
  template <typename Describe>
    requires std::is_invocable_r_v<std::string, Describe>
  explicit ProfileTimer(const Describe& describe) {
    if (active() != nullptr) start(describe());
  }
  ~ProfileTimer() {
    if (profile_ != nullptr) stop();
  }
  ProfileTimer(const ProfileTimer&) = delete;
  ProfileTimer& operator=(const ProfileTimer&) = delete;

 private:
  static Profile* active();
  void start(std::string operation);
  void stop();

  Profile* profile_ = nullptr;
  ProfileTimer* outer_ = nullptr;
  std::string operation_;
  std::chrono::steady_clock::time_point begin_;
  double inner_seconds_ = 0;
};

}  // namespace tessera
