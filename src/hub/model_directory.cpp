#include "hub/model_directory.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <system_error>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/near_names.h"
#include "base/standard_folders.h"
#include "hub/pull_record.h"

namespace tessera::hub {
namespace {

namespace fs = std::filesystem;
using SystemTime = std::chrono::system_clock::time_point;

constexpr std::string_view kGgufEnding = ".gguf";

bool ends_with_gguf(std::string_view name) {
  return name.size() > kGgufEnding.size() &&
         to_lower_ascii(name.substr(name.size() - kGgufEnding.size())) == kGgufEnding;
}

std::string without_gguf(std::string_view name) {
  return std::string(ends_with_gguf(name) ? name.substr(0, name.size() - kGgufEnding.size()) : name);
}

SystemTime modified_at(const fs::path& path) {
  std::error_code problem;
  const auto time = fs::last_write_time(path, problem);
  if (problem) return {};
  return std::chrono::time_point_cast<std::chrono::system_clock::duration>(
      std::chrono::file_clock::to_sys(time));
}

// The entries of a folder, sorted; a folder that is missing or unreadable has none.
std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code problem;
  for (fs::directory_iterator each(folder, problem), end; !problem && each != end; each.increment(problem)) {
    entries.push_back(each->path());
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

std::uint64_t size_of(const fs::path& path) {
  std::error_code problem;
  if (fs::is_regular_file(path, problem)) {
    const auto bytes = fs::file_size(path, problem);
    return problem ? 0 : bytes;
  }
  std::uint64_t total = 0;
  for (const fs::path& entry : entries_of(path)) {
    if (fs::is_regular_file(entry, problem)) total += size_of(entry);
  }
  return total;
}

bool is_model_folder(const fs::path& folder) {
  std::error_code problem;
  return fs::is_regular_file(folder / "config.json", problem) ||
         fs::is_regular_file(folder / "tokenizer.json", problem);
}

// The GGUF files of a folder that a model starts with: whole ones, and first parts.
std::vector<fs::path> gguf_files_of(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const fs::path& entry : entries_of(folder)) {
    const std::string name = entry.filename().string();
    std::error_code problem;
    if (!ends_with_gguf(name) || name.front() == '.' || !fs::is_regular_file(entry, problem)) continue;
    const auto split = split_name_of_file(name);
    if (!split || split->part == 1) files.push_back(entry);
  }
  return files;
}

InstalledModel describe(const fs::path& path) {
  InstalledModel model;
  model.path = path;
  model.name = without_gguf(path.filename().string());
  model.modified = modified_at(path);
  model.bytes = size_of(path);
  const bool is_folder = fs::is_directory(path);
  model.format = is_folder ? "safetensors" : "gguf";
  if (!is_folder) model.quantization = quantization_of_file(path.filename().string());
  if (const auto split = split_name_of_file(path.filename().string()); split && !is_folder) {
    model.bytes = 0;
    for (const fs::path& entry : entries_of(path.parent_path())) {
      const auto part = split_name_of_file(entry.filename().string());
      if (part && part->prefix == split->prefix && part->parts == split->parts) model.bytes += size_of(entry);
    }
  }
  return model;
}

std::string source_text(const PullRecord& record) {
  const std::string& revision = record.commit.empty() ? record.revision : record.commit;
  return "hf:" + record.repository + (revision.empty() ? "" : "@" + revision.substr(0, 12));
}

std::vector<InstalledModel> own_models() {
  const fs::path models = models_directory();
  std::vector<InstalledModel> found;
  std::vector<fs::path> paths = gguf_files_of(models);
  for (const fs::path& entry : entries_of(models)) {
    if (entry.filename().string().front() == '.' || !fs::is_directory(entry)) continue;
    if (is_model_folder(entry)) {
      paths.push_back(entry);
    } else {
      for (const fs::path& file : gguf_files_of(entry)) paths.push_back(file);
    }
  }
  for (const fs::path& path : paths) {
    found.push_back(describe(path));
    const auto record = read_pull_record(models, path.filename().string());
    if (record) found.back().source = source_text(*record);
  }
  return found;
}

// The folder of one revision in a Hugging Face cache entry; without a revision refs/main, else the newest.
std::optional<fs::path> snapshot_of(const fs::path& repository, const std::string& revision) {
  const fs::path snapshots = repository / "snapshots";
  const fs::path reference = repository / "refs" / (revision.empty() ? "main" : revision);
  std::error_code problem;
  if (fs::is_regular_file(reference, problem)) {
    std::string commit = read_file(reference.string(), 4096);
    while (!commit.empty() && (commit.back() == '\n' || commit.back() == ' ')) commit.pop_back();
    const bool is_name = !commit.empty() && commit.find('/') == std::string::npos && commit.front() != '.';
    if (is_name && fs::is_directory(snapshots / commit, problem)) return snapshots / commit;
  }
  if (!revision.empty()) {
    if (fs::is_directory(snapshots / revision, problem)) return snapshots / revision;
    return std::nullopt;
  }
  std::optional<fs::path> newest;
  for (const fs::path& entry : entries_of(snapshots)) {
    if (fs::is_directory(entry, problem) && (!newest || modified_at(entry) > modified_at(*newest)))
      newest = entry;
  }
  return newest;
}

// "USER/REPO" of "models--USER--REPO"; empty for anything else.
std::string repository_of_cache_folder(const std::string& folder) {
  constexpr std::string_view kStart = "models--";
  if (folder.substr(0, kStart.size()) != kStart) return {};
  std::string repository = folder.substr(kStart.size());
  const std::size_t dashes = repository.find("--");
  if (dashes != std::string::npos) repository.replace(dashes, 2, "/");
  return repository;
}

std::vector<InstalledModel> cached_models() {
  std::vector<InstalledModel> found;
  for (const fs::path& entry : entries_of(hugging_face_cache())) {
    const std::string repository = repository_of_cache_folder(entry.filename().string());
    if (repository.empty()) continue;
    const auto snapshot = snapshot_of(entry, "");
    if (!snapshot) continue;
    std::vector<fs::path> paths = gguf_files_of(*snapshot);
    if (paths.empty() && is_model_folder(*snapshot)) paths.push_back(*snapshot);
    for (const fs::path& path : paths) {
      found.push_back(describe(path));
      found.back().name = "hf:" + repository;
      if (!found.back().quantization.empty()) found.back().name += ":" + found.back().quantization;
      found.back().source = "Hugging Face cache";
    }
  }
  return found;
}

bool quantization_fits(const std::string& wanted, const fs::path& file) {
  if (wanted.empty()) return true;
  if (to_lower_ascii(quantization_of_file(file.filename().string())) == to_lower_ascii(wanted)) return true;
  // "UD-Q4_K_XL" and other words before the quantisation proper are compared as an ending of the name.
  const std::string name = to_lower_ascii(without_gguf(file.filename().string()));
  const std::string ending = "-" + to_lower_ascii(wanted);
  return name.size() > ending.size() && name.substr(name.size() - ending.size()) == ending;
}

std::string join(const std::vector<std::string>& names) { return fmt::format("{}", fmt::join(names, ", ")); }

[[noreturn]] void no_such_model(std::string_view wanted, const std::vector<InstalledModel>& installed) {
  std::vector<std::string> names;
  for (const InstalledModel& model : installed) names.push_back(model.name);
  std::string advice;
  if (const auto near = near_names(without_gguf(wanted), names); !near.empty()) {
    advice = "did you mean " + join(near) + "? ";
  }
  fail(ErrorKind::io,
       "no model '{}': expected a GGUF file, a Hugging Face folder, or a name in {} ({} there); {}'tessera "
       "models' "
       "lists them, 'tessera pull hf:USER/REPO' gets one",
       printable(wanted, 300), models_directory().string(), names.size(), advice);
}

// By name: exact before the beginning of one.
std::string resolve_name(std::string_view wanted) {
  const std::vector<InstalledModel> installed = list_models();
  const std::string lower = to_lower_ascii(without_gguf(wanted));
  std::vector<std::string> names;
  const InstalledModel* chosen = nullptr;
  for (const InstalledModel& model : installed) {
    if (model.name == without_gguf(wanted)) return model.path.string();
    const std::string name = to_lower_ascii(model.name);
    if (name == lower) return model.path.string();
    if (lower.empty() || name.substr(0, lower.size()) != lower) continue;
    chosen = &model;
    names.push_back(model.name);
  }
  if (names.size() > 1) {
    fail(ErrorKind::bad_usage, "'{}' fits several models: {}; write more of the name", printable(wanted),
         join(names));
  }
  if (chosen == nullptr) no_such_model(wanted, installed);
  return chosen->path.string();
}

}  // namespace

fs::path models_directory() { return cache_folder() / "tessera" / "models"; }

fs::path hugging_face_cache() {
  for (const char* variable : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (const std::string folder = environment_value(variable); !folder.empty()) return folder;
  }
  if (const std::string home = environment_value("HF_HOME"); !home.empty()) return fs::path(home) / "hub";
  return cache_folder() / "huggingface" / "hub";
}

std::vector<InstalledModel> list_models() {
  std::vector<InstalledModel> all = own_models();
  const auto by_name = [](const InstalledModel& left, const InstalledModel& right) {
    return left.name < right.name;
  };
  std::sort(all.begin(), all.end(), by_name);
  std::vector<InstalledModel> cached = cached_models();
  std::sort(cached.begin(), cached.end(), by_name);
  std::move(cached.begin(), cached.end(), std::back_inserter(all));
  return all;
}

std::optional<fs::path> find_pulled_model(const ModelReference& reference) {
  const fs::path models = models_directory();
  for (const InstalledModel& model : own_models()) {
    const auto record = read_pull_record(models, model.path.filename().string());
    if (!record || to_lower_ascii(record->repository) != to_lower_ascii(reference.repository)) continue;
    if (!reference.revision.empty() && reference.revision != record->revision &&
        record->commit.substr(0, reference.revision.size()) != reference.revision) {
      continue;
    }
    if (quantization_fits(reference.quantization, model.path)) return model.path;
  }
  std::string folder = "models--" + reference.repository;
  folder.replace(folder.find('/'), 1, "--");
  const auto snapshot = snapshot_of(hugging_face_cache() / folder, reference.revision);
  if (!snapshot) return std::nullopt;
  for (const fs::path& file : gguf_files_of(*snapshot)) {
    if (quantization_fits(reference.quantization, file)) return file;
  }
  if (reference.quantization.empty() && is_model_folder(*snapshot)) return snapshot;
  return std::nullopt;
}

std::string resolve_model(std::string_view name_or_path) {
  if (name_or_path.empty())
    fail(ErrorKind::bad_usage, "no model: expected a file, a folder or a name, found ''");
  std::string wanted(name_or_path);
  const fs::path path(wanted);
  std::error_code problem;
  if (fs::is_regular_file(path, problem)) return wanted;
  const bool is_folder = fs::is_directory(path, problem);
  if (is_folder && is_model_folder(path)) return wanted;
  if (is_folder) {
    if (const auto files = gguf_files_of(path); files.size() == 1) return files.front().string();
  }
  const bool names_hub = wanted.substr(0, 3) == "hf:";
  const bool maybe_hub = std::count(wanted.begin(), wanted.end(), '/') == 1 && wanted.front() != '/' &&
                         wanted.front() != '.' && wanted.find(' ') == std::string::npos;
  if (names_hub || maybe_hub) {
    std::optional<fs::path> found;
    try {
      found = find_pulled_model(parse_model_reference(wanted));
    } catch (const Error& error) {
      if (names_hub || error.kind() != ErrorKind::bad_usage) throw;  // it was a path after all
    }
    if (found) return found->string();
    if (names_hub) {
      fail(ErrorKind::io, "{} is not on this machine; 'tessera pull {}' gets it", printable(wanted),
           printable(wanted));
    }
  }
  if (is_folder) return wanted;  // the reader says what is missing in it
  if (wanted.find('/') != std::string::npos) no_such_model(wanted, list_models());
  return resolve_name(wanted);
}

std::string default_model() {
  const fs::path path = models_directory() / kDefaultModelFile;
  std::error_code problem;
  if (fs::is_regular_file(path, problem)) return path.string();
  fail(ErrorKind::io,
       "no model given with -m, and the default one is not at {}; ./quickstart gets it, or 'tessera pull "
       "hf:USER/REPO' gets another",
       path.string());
}

}  // namespace tessera::hub
