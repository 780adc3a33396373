#include "hub/remove_model.h"

#include <system_error>

#include "base/error.h"
#include "hub/pull_record.h"

namespace tessera::hub {
namespace {

namespace fs = std::filesystem;

void remove_path(const fs::path& path) {
  std::error_code problem;
  fs::remove_all(path, problem);
  if (problem) fail(ErrorKind::io, "{}: cannot be removed: {}", path.string(), problem.message());
}

bool is_own(const InstalledModel& model) {
  const fs::path relative = model.path.lexically_relative(models_directory());
  return !relative.empty() && *relative.begin() != "..";
}

}  // namespace

InstalledModel find_own_model(std::string_view name) {
  for (const InstalledModel& model : list_models()) {
    if (model.name != name && model.path.filename() != name) continue;
    if (is_own(model)) return model;
    fail(ErrorKind::io,
         "'{}' is in the Hugging Face cache ({}), which is only read; remove it with 'hf cache'",
         printable(name), model.path.string());
  }
  fail(ErrorKind::io, "no model '{}' in {}; expected the whole name, as 'tessera models' lists it",
       printable(name), models_directory().string());
}

void remove_model(const InstalledModel& model) {
  const auto split = split_name_of_file(model.path.filename().string());
  if (!split) {
    remove_path(model.path);
  } else {
    std::vector<fs::path> parts;
    for (const auto& entry : fs::directory_iterator(model.path.parent_path())) {
      const auto part = split_name_of_file(entry.path().filename().string());
      if (part && part->prefix == split->prefix && part->parts == split->parts) parts.push_back(entry.path());
    }
    for (const fs::path& part : parts) remove_path(part);
  }
  remove_pull_record(models_directory(), model.path.filename().string());
}

}  // namespace tessera::hub
