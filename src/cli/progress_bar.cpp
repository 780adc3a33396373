#include "cli/progress_bar.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "cli/terminal.h"

namespace tessera::cli {
namespace {

constexpr double kSecondsBetweenLines = 5;
constexpr double kSecondsBetweenDraws = 0.1;

// What cannot be written (a closed pipe) is no reason to stop the work.
void write_text(int fd, const std::string& text) {
  [[maybe_unused]] const ssize_t written = ::write(fd, text.data(), text.size());
}

std::string amount_text(std::uint64_t amount, const std::string& unit) {
  return unit == "bytes" ? bytes_text(amount) : fmt::format("{} {}", amount, unit);
}

std::string percent_text(const Progress& progress) {
  if (progress.total == 0) return {};
  return fmt::format("{}%", std::min<std::uint64_t>(
                                100, static_cast<std::uint64_t>(100.0 * static_cast<double>(progress.done) /
                                                                static_cast<double>(progress.total))));
}

std::string figures_text(const Progress& progress) {
  std::string text = percent_text(progress);
  if (!text.empty()) text += "  ";
  text += amount_text(progress.done, progress.unit);
  if (progress.total > 0) text += " of " + amount_text(progress.total, progress.unit);
  if (progress.per_second > 0) {
    text += "  " + amount_text(static_cast<std::uint64_t>(progress.per_second), progress.unit) + "/s";
  }
  if (progress.finished) {
    text += "  in " + duration_text(progress.seconds);
  } else if (progress.eta() >= 0) {
    text += "  " + duration_text(progress.eta()) + " left";
  }
  return text;
}

}  // namespace

std::string bytes_text(std::uint64_t bytes) {
  static constexpr std::array kUnits = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  if (bytes < 1000) return fmt::format("{} B", bytes);
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f} {}", value, decimals, kUnits[unit]);
}

std::string duration_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::ceil(std::clamp(seconds, 0.0, 1e9)));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string progress_text(const Progress& progress) {
  return fmt::format("{} {}: {}", progress.stage, progress.subject, figures_text(progress));
}

std::string progress_bar(const Progress& progress, int width) {
  const std::string figures = figures_text(progress);
  std::string name = terminal_safe(progress.stage + " " + progress.subject);
  constexpr int kBarWidth = 24;
  const int room = width - static_cast<int>(figures.size()) - kBarWidth - 6;
  if (progress.total == 0 || room < 12) {
    std::string line = name + "  " + figures;
    return static_cast<int>(line.size()) < width
               ? line
               : figures.substr(0, static_cast<std::size_t>(std::max(0, width - 1)));
  }
  if (static_cast<int>(name.size()) > room) name = name.substr(0, static_cast<std::size_t>(room) - 3) + "...";
  const double share =
      std::min(1.0, static_cast<double>(progress.done) / static_cast<double>(progress.total));
  const auto filled = static_cast<std::size_t>(share * kBarWidth);
  return name + " [" + std::string(filled, '#') + std::string(kBarWidth - filled, '.') + "] " + figures;
}

ProgressDisplay::ProgressDisplay(int fd, double quiet_seconds)
    : fd_(fd),
      terminal_(is_terminal(fd)),
      quiet_seconds_(quiet_seconds),
      begin_(Clock::now()),
      last_(begin_) {
  if (terminal_) last_ -= std::chrono::seconds(1);  // the first record is drawn at once
}

ProgressDisplay::~ProgressDisplay() {
  if (drawn_) write_text(fd_, "\n");
}

void ProgressDisplay::clear() {
  if (drawn_) write_text(fd_, "\r\x1b[K");
  drawn_ = false;
}

void ProgressDisplay::show(const Progress& progress) {
  const auto now = Clock::now();
  const std::chrono::duration<double> so_far = now - begin_;
  const std::chrono::duration<double> since = now - last_;
  if (so_far.count() < quiet_seconds_) return;
  if (!progress.finished && since.count() < (terminal_ ? kSecondsBetweenDraws : kSecondsBetweenLines)) return;
  last_ = now;
  if (!terminal_) {
    write_text(fd_, progress_text(progress) + "\n");
    return;
  }
  write_text(fd_, "\r" + progress_bar(progress, terminal_width(fd_)) + "\x1b[K");
  drawn_ = true;
}

}  // namespace tessera::cli
