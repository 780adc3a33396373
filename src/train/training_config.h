// Everything a training run can be told, by flags or by a YAML file: one list of settings serves both.
#pragma once
#include <cstdint>
#include <string>
#include <type_traits>

#include "train/trainer.h"

namespace tessera::train {

struct TrainingConfig {
  // Data: token files of `tessera data`.
  std::string data;
  std::string train_file;
  std::string validation_file;
  std::string tokenizer;
  bool separate_documents = false;
  // The model: one that exists, a config.json, or a shape.
  std::string model;
  std::string architecture = "gpt2";
  std::string attention;
  std::string attention_heads;
  std::int64_t attention_window = 0;
  std::int64_t attention_stride = 0;
  std::int64_t attention_columns = -1;
  std::int64_t attention_block = 0;
  std::int64_t attention_random_blocks = -1;
  std::int64_t attention_seed = -1;
  std::int64_t layers = 4;
  std::int64_t heads = 4;
  std::int64_t key_value_heads = 0;
  std::int64_t hidden_size = 128;
  std::int64_t intermediate_size = 0;
  // A low-rank adapter instead of all weights (train/lora_training.h).
  std::int64_t lora_r = 0;
  double lora_alpha = 16.0;
  double lora_dropout = 0.0;
  bool use_rslora = false;
  std::string target_modules = "all-linear";
  // The run.
  std::string out;
  bool resume = false;
  std::uint64_t seed = 1337;
  std::int64_t steps = 2000;
  std::int64_t batch_size = 12;
  std::int64_t seq_len = 64;
  std::int64_t stride = 1;
  std::int64_t accumulation = 1;
  std::string precision = "f32";
  bool activation_checkpointing = false;
  // The optimizer.
  std::string optimizer = "adamw";
  double learning_rate = 1e-3;
  double minimum_learning_rate = 1e-4;
  std::string schedule = "cosine";
  std::int64_t warmup = 100;
  std::int64_t decay_steps = 0;
  double beta1 = 0.9;
  double beta2 = 0.99;
  double weight_decay = 0.1;
  double clip = 1.0;
  double label_smoothing = 0.0;
  double dropout = 0.0;
  // What is watched and kept.
  std::int64_t evaluate_every = 500;
  std::int64_t save_every = 500;
  std::int64_t keep = 2;
  double ema = 0.0;
  std::int64_t patience = 0;
  std::int64_t sample_every = 0;
  std::string sample_prompt = "\n";
  std::int64_t sample_tokens = 100;
  double sample_temperature = 0.8;
};

// visit(name, help, field) for every setting; names are those of flags, and YAML may write _ for -.
template <typename Config, typename Visitor>
void for_each_setting(Config& c, Visitor&& visit) {
  static_assert(std::is_same_v<std::remove_const_t<Config>, TrainingConfig>);
  visit("data", "folder with train.tokens and validation.tokens (tessera data)", c.data);
  visit("train-file", "token file to train on, instead of --data", c.train_file);
  visit("validation-file", "token file to measure on, instead of --data", c.validation_file);
  visit("tokenizer", "folder or tokenizer.json that goes into the checkpoints; else the data folder's",
        c.tokenizer);
  visit("separate-documents", "documents in one window do not see each other", c.separate_documents);
  visit("model", "folder with weights to go on from, or a config.json to start from random ones", c.model);
  visit("architecture", "gpt2 or llama, of the sizes below", c.architecture);
  visit("attention", "mechanism of all layers, or of each with commas between (docs/attention); empty: flash",
        c.attention);
  visit("attention-heads", "sparse_heads: patterns of the heads in turn, with commas between",
        c.attention_heads);
  visit("attention-window", "sliding_window, sparse_local: tokens that are seen", c.attention_window);
  visit("attention-stride", "sparse_strided, sparse_fixed: tokens of a stride", c.attention_stride);
  visit("attention-columns", "sparse_fixed: last tokens of a stride that all see; -1: 8",
        c.attention_columns);
  visit("attention-block", "bigbird: tokens of a block; 0: 64", c.attention_block);
  visit("attention-random-blocks", "bigbird: of each row of blocks; -1: 3", c.attention_random_blocks);
  visit("attention-seed", "bigbird: of the random blocks; -1: 0", c.attention_seed);
  visit("layers", "blocks", c.layers);
  visit("heads", "query heads", c.heads);
  visit("key-value-heads", "llama: 0 is as many as query heads", c.key_value_heads);
  visit("hidden-size", "width of a token's vector", c.hidden_size);
  visit("intermediate-size", "0: 4 (gpt2) or 8/3 (llama) times the hidden size", c.intermediate_size);
  visit("lora-r",
        "rank of a LoRA adapter that is trained beside the frozen model; 0: all weights are trained",
        c.lora_r);
  visit("lora-alpha", "the adapter counts alpha / r times", c.lora_alpha);
  visit("lora-dropout", "share of elements that the adapter does not see", c.lora_dropout);
  visit("use-rslora", "alpha / sqrt(r) instead of alpha / r", c.use_rslora);
  visit("target-modules", "modules that get an adapter, with commas between: q_proj,v_proj; all-linear",
        c.target_modules);
  visit("out", "folder of the run: checkpoints and metrics.jsonl", c.out);
  visit("resume", "go on from the newest complete checkpoint in --out", c.resume);
  visit("seed", "of the weights and of the order of the data", c.seed);
  visit("steps", "updates of the weights in all", c.steps);
  visit("batch-size", "windows a batch", c.batch_size);
  visit("seq-len", "tokens a window", c.seq_len);
  visit("stride", "tokens from one window to the next; 0: --seq-len, so that no token comes twice", c.stride);
  visit("accumulation", "batches that make up one step", c.accumulation);
  visit("precision", "of matrix products: f32 or bf16 (weights stay float32)", c.precision);
  visit("activation-checkpointing", "compute each layer again in the backward: less memory, more time",
        c.activation_checkpointing);
  visit("optimizer", "adamw, lion or sgd", c.optimizer);
  visit("learning-rate", "the highest", c.learning_rate);
  visit("minimum-learning-rate", "the last", c.minimum_learning_rate);
  visit("schedule", "constant, cosine, linear, inverse-sqrt or wsd", c.schedule);
  visit("warmup", "steps to the highest learning rate", c.warmup);
  visit("decay-steps", "wsd: steps of the fall; 0: a tenth of all", c.decay_steps);
  visit("beta1", "of the first moment; sgd: the momentum", c.beta1);
  visit("beta2", "of the second moment", c.beta2);
  visit("weight-decay", "of matrices alone", c.weight_decay);
  visit("clip", "longest gradient; 0: any", c.clip);
  visit("dropout", "share that is dropped of embeddings, attention's probabilities and residual branches",
        c.dropout);
  visit("label-smoothing", "share of the target that all tokens get", c.label_smoothing);
  visit("evaluate-every", "steps between measurements on the whole validation file; 0: at the end alone",
        c.evaluate_every);
  visit("save-every", "steps between checkpoints; 0: at the end alone", c.save_every);
  visit("keep", "checkpoints that are kept", c.keep);
  visit("ema", "decay of the averaged weights, which are measured and saved too (0.999); 0: none", c.ema);
  visit("patience", "measurements without a better one after which the run ends; the best is kept; 0: never",
        c.patience);
  visit("sample-every", "steps between texts that the model writes; 0: none", c.sample_every);
  visit("sample-prompt", "what those texts go on from", c.sample_prompt);
  visit("sample-tokens", "their length", c.sample_tokens);
  visit("sample-temperature", "0: the likeliest token always", c.sample_temperature);
}

// Reads a YAML file into `config`. Error bad_input naming file, line and key: an unknown key (with the
// nearest known one), another type; io.
void read_training_yaml(const std::string& path, TrainingConfig& config);

// What is plainly impossible, before anything is opened. Error bad_usage naming the setting.
void check_training_config(const TrainingConfig& config);
TrainerOptions trainer_options(const TrainingConfig& config);
// The config.json of a model of this shape over `vocabulary` tokens.
std::string model_config_json(const TrainingConfig& config, std::int64_t vocabulary);

}  // namespace tessera::train
