#include "hub/pull.h"

#include <fmt/format.h>

#include <system_error>

#include "base/error.h"
#include "hub/choose_files.h"
#include "hub/model_directory.h"
#include "hub/pull_record.h"

namespace tessera::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kGgufEnding = ".gguf";

std::uint64_t available_bytes_at(fs::path folder) {
  std::error_code problem;
  while (!fs::exists(folder, problem) && folder.has_relative_path()) folder = folder.parent_path();
  const auto space = fs::space(folder, problem);
  if (problem) fail(ErrorKind::io, "{}: cannot tell the free space: {}", folder.string(), problem.message());
  return space.available;
}

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::string without_gguf(const std::string& name) {
  return name.ends_with(kGgufEnding) ? name.substr(0, name.size() - kGgufEnding.size()) : name;
}

// The file name in the models directory: the hub's own, or `wanted` with the ending and part number kept.
std::string gguf_name(const HubFile& file, const std::string& wanted) {
  if (wanted.empty()) return base_name(file.path);
  const auto split = split_name_of_file(file.path);
  if (!split) return without_gguf(wanted) + std::string(kGgufEnding);
  return fmt::format("{}-{:05}-of-{:05}{}", without_gguf(wanted), split->part, split->parts, kGgufEnding);
}

bool is_from(const PullPlan& plan) {
  const auto record = read_pull_record(models_directory(), plan.name);
  return record && record->repository == plan.reference.repository;
}

void require_name(const std::string& name) {
  if (name.empty()) return;
  if (name.find('/') != std::string::npos || name.front() == '.' || name.size() > 200) {
    fail(ErrorKind::bad_usage, "--name: expected a plain file name, found '{}'", printable(name));
  }
  require_safe_path(name, "--name");
}

void require_room(const PullPlan& plan) {
  if (plan.needed_bytes <= plan.available_bytes) return;
  constexpr double kGigabyte = 1e9;
  fail(ErrorKind::limit,
       "{}: needs {:.1f} GB more on the disk of {}, you have {:.1f} GB; make room, or set XDG_CACHE_HOME",
       plan.reference.text(), static_cast<double>(plan.needed_bytes) / kGigabyte, models_directory().string(),
       static_cast<double>(plan.available_bytes) / kGigabyte);
}

}  // namespace

PullPlan plan_pull(HttpClient& client, const ModelReference& reference, const std::string& name,
                   const HttpClient::Tick& tick) {
  require_name(name);
  if (client.settings().offline) {
    fail(ErrorKind::io, "{}: HF_HUB_OFFLINE is set, nothing is fetched; unset it to pull", reference.text());
  }
  const HubListing listing = list_repository(client, reference, tick);
  const ChosenFiles chosen = choose_files(listing.files, reference);
  const fs::path models = models_directory();
  PullPlan plan;
  plan.reference = reference;
  plan.commit = listing.commit;
  if (chosen.is_folder) {
    plan.name = name.empty() ? chosen.name : name;
  } else {
    plan.name = gguf_name(chosen.files.front(), name);
  }
  plan.path = models / plan.name;
  for (const HubFile& file : chosen.files) {
    Download download{reference, listing.commit, file, {}};
    download.destination = chosen.is_folder ? plan.path / file.path : models / gguf_name(file, name);
    plan.total_bytes += file.size;
    std::error_code problem;
    const bool is_there = fs::file_size(download.destination, problem) == file.size && !problem;
    if (!is_there) plan.needed_bytes += file.size - resumable_bytes(download);
    plan.downloads.push_back(std::move(download));
  }
  plan.available_bytes = available_bytes_at(models);
  require_room(plan);
  return plan;
}

void execute_pull(HttpClient& client, const PullPlan& plan, const ProgressSink& progress) {
  const bool is_ours = is_from(plan);
  std::uint64_t already = 0;
  for (const Download& download : plan.downloads) already += resumable_bytes(download);
  ProgressMeter meter(progress, "download", plan.name, plan.total_bytes, already);
  for (const Download& download : plan.downloads) {
    std::error_code problem;
    fs::create_directories(download.destination.parent_path(), problem);
    if (problem) {
      fail(ErrorKind::io, "{}: cannot be made: {}", download.destination.parent_path().string(),
           problem.message());
    }
    meter.set_subject(download.destination.filename().string());
    if (fs::exists(download.destination, problem)) {
      meter.set_stage("verify");
      if (matches(download.destination, download.file, meter)) continue;
      if (!is_ours) {
        fail(ErrorKind::bad_usage,
             "{} is already there and holds something else than {}; choose another with --name",
             download.destination.string(), plan.reference.text());
      }
    }
    meter.set_stage("download");
    download_file(client, download, meter);
  }
  PullRecord record{plan.name, plan.reference.repository, plan.reference.revision, plan.commit, {}};
  for (const Download& download : plan.downloads) {
    record.files.push_back(fs::relative(download.destination, models_directory()).string());
  }
  write_pull_record(models_directory(), record);
  meter.finish();
}

}  // namespace tessera::hub
