#include "train/checkpoint.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "base/xxhash64.h"
#include "formats/safetensors.h"
#include "formats/safetensors_writer.h"
#include "models/weight_loader.h"

namespace tessera::train {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kPrefix = "checkpoint-";
constexpr const char* kUnfinished = ".unfinished-";
constexpr const char* kAveragesFolder = "ema";
constexpr const char* kStateFile = "training_state.json";
constexpr std::size_t kMostStateBytes = 1 << 20;

std::string checksum_of(const std::string& path) {
  return fmt::format("{:016x}", xxhash64(MappedFile::open(path)->bytes()));
}

void sync_folder(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail(ErrorKind::io, "{}: cannot open: {}", folder, std::strerror(errno));
  const int result = ::fsync(fd);
  ::close(fd);
  if (result != 0) fail(ErrorKind::io, "{}: cannot flush: {}", folder, std::strerror(errno));
}

void write_weights(const std::string& path, std::span<const models::Parameter> parameters) {
  formats::SafetensorsWriter writer;
  writer.set_metadata("format", "pt");
  for (const models::Parameter& parameter : parameters) {
    const bool turn = parameter.stored_transposed;
    writer.add_tensor(parameter.name, turn ? models::transposed(parameter.tensor) : parameter.tensor);
  }
  writer.write(path);
}

void write_optimizer(const std::string& path, std::vector<formats::TensorToWrite> state) {
  formats::SafetensorsWriter writer;
  for (formats::TensorToWrite& tensor : state) writer.add_tensor(std::move(tensor));
  writer.write(path);
}

json state_to_json(const TrainingState& state) {
  return {{"format", 1},
          {"step", state.step},
          {"tokens", state.tokens},
          {"seed", state.seed},
          {"best_validation_loss", state.best_validation_loss},
          {"best_step", state.best_step},
          {"measurements_since_best", state.measurements_since_best},
          {"average_updates", state.average_updates},
          {"data",
           {{"epoch", state.data.epoch},
            {"batch", state.data.batch},
            {"seed", state.data.seed},
            {"windows", state.data.windows},
            {"global_batch", state.data.global_batch},
            {"shuffle", state.data.shuffle}}}};
}

// Everything but the state itself, with sizes and checksums.
json describe_files(const fs::path& folder) {
  json files = json::object();
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    files[entry.path().lexically_relative(folder).generic_string()] = {
        {"bytes", entry.file_size()}, {"xxh64", checksum_of(entry.path().string())}};
  }
  return files;
}

json read_state_file(const std::string& checkpoint) {
  const std::string path = (fs::path(checkpoint) / kStateFile).string();
  json state = json::parse(read_file(path, kMostStateBytes), nullptr, false);
  if (!state.is_object()) fail(ErrorKind::bad_input, "{}: expected a JSON object", path);
  return state;
}

template <typename Value>
Value field(const json& object, const char* key, const std::string& path) {
  const auto found = object.find(key);
  const bool fits = found != object.end() && (std::is_same_v<Value, bool> ? found->is_boolean()
                                              : std::is_integral_v<Value> ? found->is_number_integer()
                                                                          : found->is_number());
  if (!fits) fail(ErrorKind::bad_input, "{}: key '{}': expected a number, found none", path, key);
  return found->get<Value>();
}

std::int64_t field_or_zero(const json& object, const char* key, const std::string& path) {
  return object.contains(key) ? field<std::int64_t>(object, key, path) : 0;
}

bool stays_inside(const fs::path& name) {
  return name.is_relative() && std::ranges::none_of(name, [](const fs::path& part) { return part == ".."; });
}

// Empty when the checkpoint is whole; otherwise why it is not.
std::string what_is_wrong(const fs::path& checkpoint) {
  try {
    const json state = read_state_file(checkpoint.string());
    const auto files = state.find("files");
    const bool listed =
        files != state.end() && files->is_object() &&
        (files->contains("model.safetensors") || files->contains("adapter_model.safetensors"));
    if (!listed) {
      return fmt::format("{}: no list of files", (checkpoint / kStateFile).string());
    }
    for (const auto& [name, described] : files->items()) {
      if (!stays_inside(name))
        return fmt::format("{}: '{}' is no file of it", checkpoint.string(), printable(name));
      const std::string path = (checkpoint / name).string();
      const auto bytes = field<std::uint64_t>(described, "bytes", path);
      if (!fs::exists(path)) return fmt::format("{}: missing", path);
      if (fs::file_size(path) != bytes) {
        return fmt::format("{}: expected {} bytes, found {}", path, bytes, fs::file_size(path));
      }
      if (checksum_of(path) != described.value("xxh64", "")) return fmt::format("{}: damaged", path);
    }
    return "";
  } catch (const std::exception& error) {
    return error.what();
  }
}

std::optional<std::int64_t> step_of(const fs::path& path) {
  const std::string name = path.filename().string();
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const char* begin = name.data() + std::strlen(kPrefix);
  const char* end = name.data() + name.size();
  std::int64_t step = 0;
  const auto [stop, problem] = std::from_chars(begin, end, step);
  return problem == std::errc() && stop == end ? std::optional(step) : std::nullopt;
}

// Steps and paths, the newest first.
std::vector<std::pair<std::int64_t, fs::path>> checkpoints_in(const std::string& run_folder) {
  std::vector<std::pair<std::int64_t, fs::path>> found;
  if (!fs::is_directory(run_folder)) return found;
  for (const auto& entry : fs::directory_iterator(run_folder)) {
    if (const auto step = step_of(entry.path())) found.emplace_back(*step, entry.path());
  }
  std::ranges::sort(found, std::greater<>());
  return found;
}

void point_at(const fs::path& run_folder, const char* link, const std::string& name) {
  const fs::path temporary = run_folder / fmt::format("{}{}-{}", kUnfinished, link, ::getpid());
  std::error_code ignored;
  fs::remove(temporary, ignored);
  fs::create_symlink(name, temporary);
  fs::rename(temporary, run_folder / link);
}

void write_companions(const fs::path& folder, const std::vector<CompanionFile>& companions) {
  fs::create_directories(folder);
  for (const CompanionFile& file : companions) {
    write_file_atomically((folder / file.name).string(), file.contents);
  }
}

}  // namespace

CompanionFile::CompanionFile(std::string from, std::string as)
    : path(std::move(from)), name(std::move(as)), contents(read_file(path)) {}

WeightsWriter weights_writer(const models::Model& model) {
  return [&model](const std::string& folder) {
    write_weights((fs::path(folder) / "model.safetensors").string(), model.parameters());
  };
}

std::string write_checkpoint(const std::string& run_folder, const WeightsWriter& write,
                             std::vector<formats::TensorToWrite> optimizer_state, const TrainingState& state,
                             const std::vector<CompanionFile>& companions,
                             std::span<const models::Parameter> averages) {
  const std::string name = fmt::format("{}{}", kPrefix, state.step);
  const fs::path final_path = fs::path(run_folder) / name;
  const fs::path folder = fs::path(run_folder) / fmt::format("{}{}-{}", kUnfinished, name, ::getpid());
  try {
    fs::remove_all(folder);
    write_companions(folder, companions);
    write(folder.string());
    if (!averages.empty()) {
      write_companions(folder / kAveragesFolder, companions);
      write_weights((folder / kAveragesFolder / "model.safetensors").string(), averages);
      sync_folder((folder / kAveragesFolder).string());
    }
    write_optimizer((folder / "optimizer.safetensors").string(), std::move(optimizer_state));
    json description = state_to_json(state);
    description["files"] = describe_files(folder);
    write_file_atomically((folder / kStateFile).string(), description.dump(1) + "\n");
    sync_folder(folder.string());
    fs::remove_all(final_path);  // of the same step, by a run that is done again
    fs::rename(folder, final_path);
    sync_folder(run_folder);
    point_at(run_folder, "latest", name);
  } catch (const fs::filesystem_error& error) {
    std::error_code ignored;
    fs::remove_all(folder, ignored);
    fail(ErrorKind::io, "{}: cannot write the checkpoint: {}", final_path.string(), error.code().message());
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(folder, ignored);
    throw;
  }
  return final_path.string();
}

void mark_best_checkpoint(const std::string& run_folder, std::int64_t step) {
  try {
    point_at(run_folder, "best", fmt::format("{}{}", kPrefix, step));
  } catch (const fs::filesystem_error& error) {
    fail(ErrorKind::io, "{}: cannot mark the best checkpoint: {}", run_folder, error.code().message());
  }
}

std::optional<std::string> newest_checkpoint(const std::string& run_folder,
                                             std::vector<std::string>* rejected) {
  for (const auto& [step, path] : checkpoints_in(run_folder)) {
    std::string reason = what_is_wrong(path);
    if (reason.empty()) return path.string();
    if (rejected != nullptr) rejected->push_back(std::move(reason));
  }
  return std::nullopt;
}

TrainingState read_training_state(const std::string& checkpoint) {
  const std::string path = (fs::path(checkpoint) / kStateFile).string();
  const json file = read_state_file(checkpoint);
  const auto data = file.find("data");
  if (data == file.end() || !data->is_object()) {
    fail(ErrorKind::bad_input, "{}: key 'data': expected an object, found none", path);
  }
  TrainingState state;
  state.step = field<std::int64_t>(file, "step", path);
  state.tokens = field<std::int64_t>(file, "tokens", path);
  state.seed = field<std::uint64_t>(file, "seed", path);
  state.best_validation_loss = field<double>(file, "best_validation_loss", path);
  // Younger than the first runs: absent there.
  state.best_step = field_or_zero(file, "best_step", path);
  state.measurements_since_best = field_or_zero(file, "measurements_since_best", path);
  state.average_updates = field_or_zero(file, "average_updates", path);
  state.data.epoch = field<std::int64_t>(*data, "epoch", path);
  state.data.batch = field<std::int64_t>(*data, "batch", path);
  state.data.seed = field<std::uint64_t>(*data, "seed", path);
  state.data.windows = field<std::int64_t>(*data, "windows", path);
  state.data.global_batch = field<std::int64_t>(*data, "global_batch", path);
  state.data.shuffle = field<bool>(*data, "shuffle", path);
  return state;
}

void restore_optimizer(const std::string& checkpoint, Optimizer& optimizer, std::int64_t step) {
  const std::string path = (fs::path(checkpoint) / "optimizer.safetensors").string();
  const auto file = MappedFile::open(path);
  std::map<std::string, TensorInfo> found;
  for (formats::FoundTensor& tensor : formats::read_safetensors_header(*file).tensors) {
    found.emplace(tensor.info.name, std::move(tensor.info));
  }
  for (const OptimizerTensor& entry : optimizer.state()) {
    const ParameterSlice& slice = optimizer.slices()[entry.slice];
    const auto info = found.find(entry.name);
    if (info == found.end() || !(info->second.shape == slice.whole) || info->second.dtype != DType::f32) {
      fail(ErrorKind::bad_input,
           "{}: tensor '{}': expected F32 {}, found {}: is it of another model or optimizer?", path,
           entry.name, slice.whole.to_string(),
           info == found.end() ? "no such tensor" : info->second.shape.to_string());
    }
    Tensor target = entry.tensor;
    const std::size_t begin = static_cast<std::size_t>(slice.first) * sizeof(float);
    std::memcpy(target.mutable_raw(), file->bytes().data() + info->second.offset + begin, target.bytes());
  }
  optimizer.set_steps_taken(step);
}

void remove_old_checkpoints(const std::string& run_folder, std::int64_t keep) {
  const auto found = checkpoints_in(run_folder);
  std::error_code no_link;
  const fs::path best = fs::read_symlink(fs::path(run_folder) / "best", no_link);
  for (std::size_t i = static_cast<std::size_t>(std::max<std::int64_t>(1, keep)); i < found.size(); ++i) {
    if (found[i].second.filename() != best) fs::remove_all(found[i].second);
  }
  for (const auto& entry : fs::directory_iterator(run_folder)) {
    if (entry.path().filename().string().starts_with(kUnfinished)) fs::remove_all(entry.path());
  }
}

}  // namespace tessera::train
