// noisette info: what a file holds.
#include <map>
#include <nlohmann/json.hpp>

#include "framework/data/dataset.h"
#include "framework/io/atomic_file.h"
#include "framework/io/safetensors.h"
#include "framework/report/table.h"
#include "models/unet/diffusers.h"
#include "train/checkpoint.h"
#include "train/commands/commands.h"
#include "train/commands/options.h"
#include "train/file_kind.h"
#include "train/model_source.h"

namespace noisette::commands {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct Options {
  std::string path;
  bool hash = false, verify = false, tensors = false, json = false;
};

/// The same facts for people and for programs.
struct Facts {
  Json json;
  Table table;
  std::string more;  // further tables

  void add(const std::string& name, const std::string& key, const std::string& text,
           const Json& value) {
    table.row({name, text});
    json[key] = value;
  }
  void add(const std::string& name, const std::string& text) { add(name, name, text, text); }
  void count(const std::string& name, int64_t n) { add(name, name, format_count(n), n); }
  void tables(const std::string& text) { more += "\n\n" + text; }
};

void add_file(Facts& f, const std::string& kind, const fs::path& path) {
  f.add("kind", kind);
  f.add("file", path.string());
  const auto bytes = fs::file_size(path);
  f.add("size", "bytes", format_bytes(double(bytes)), bytes);
}

// ---- data sets

std::string list_of(const std::vector<double>& values) {
  std::string text;
  for (const double v : values) text += fmt::format("{}{:.2f}", text.empty() ? "" : ", ", v);
  return text;
}

void add_classes(const std::shared_ptr<const Dataset>& data, Facts& f) {
  const DatasetInfo& info = data->info();
  std::vector<std::string> header = {"class"};
  for (const SplitRange& s : info.splits) header.push_back(s.name);
  Table t(header);
  for (std::size_t c = 0; c <= info.class_names.size(); ++c) {
    const bool none = c == info.class_names.size();
    const auto label = none ? -1 : int32_t(c);
    std::vector<std::string> row = {none ? "(no class)" : info.class_names[c]};
    int64_t all = 0;
    for (const SplitRange& s : info.splits) {
      int64_t n = 0;
      for (int64_t i = s.first; i < s.first + s.count; ++i) n += data->label(i) == label;
      row.push_back(format_count(n));
      all += n;
      if (!none) f.json["class_counts"][info.class_names[c]][s.name] = n;
    }
    if (!none || all > 0) t.row(row);
  }
  f.tables(t.str());
}

void describe_data(const Options& o, Facts& f) {
  constexpr int64_t kNotInMemory = 0;
  const auto data = Dataset::open(o.path, kNotInMemory);
  const DatasetInfo& info = data->info();
  add_file(f, "data set", o.path);
  f.count("images", info.count);
  f.add("image size", "shape",
        fmt::format("{} x {}, {} channel{}", info.width, info.height, info.channels,
                    info.channels == 1 ? "" : "s"),
        {info.height, info.width, info.channels});
  for (const SplitRange& s : info.splits) {
    f.table.row({"split " + s.name, format_count(s.count)});
    f.json["splits"][s.name] = s.count;
  }
  f.add("classes", "classes",
        info.class_names.empty() ? "none" : std::to_string(info.class_names.size()),
        info.class_names);
  f.add("captions", "captions", info.has_captions ? "yes" : "none", info.has_captions);
  f.add("mean by channel", "mean", list_of(info.mean), info.mean);
  f.add("deviation by channel", "std", list_of(info.std), info.std);
  f.add("source", info.source);
  f.add("fingerprint", info.fingerprint);
  if (o.hash) f.add("hash", "hash", info.fingerprint + " (the fingerprint)", info.fingerprint);
  if (o.verify) {
    data->verify();
    f.add("verified", "verified", "content agrees with the fingerprint", true);
  }
  if (!info.class_names.empty()) add_classes(data, f);
}

// ---- models

int64_t elements(const std::vector<std::pair<std::string, Shape>>& tensors) {
  int64_t n = 0;
  for (const auto& [name, shape] : tensors) n += shape.numel();
  return n;
}

/// The first piece of a dotted name, with the number of a list: "down_blocks.0".
std::string block_of(const std::string& name) {
  const std::size_t first = name.find('.');
  if (first == name.npos) return name;
  const std::size_t second = name.find('.', first + 1);
  const bool number =
      second != name.npos && first + 1 < second &&
      std::all_of(name.begin() + std::ptrdiff_t(first) + 1, name.begin() + std::ptrdiff_t(second),
                  [](unsigned char c) { return std::isdigit(c) != 0; });
  return name.substr(0, number ? second : first);
}

void add_blocks(const std::vector<std::pair<std::string, Shape>>& tensors, Facts& f) {
  std::vector<std::string> order;
  std::map<std::string, std::pair<int64_t, int64_t>> blocks;  // tensors, values
  for (const auto& [name, shape] : tensors) {
    const std::string block = block_of(name);
    if (!blocks.contains(block)) order.push_back(block);
    blocks[block].first += 1;
    blocks[block].second += shape.numel();
  }
  Table t({"block", "tensors", "values"});
  for (const std::string& block : order) {
    t.row({block, format_count(blocks[block].first), format_count(blocks[block].second)});
    f.json["blocks"][block] = blocks[block].second;
  }
  f.tables(t.str());
}

std::string widths(const UNetConfig& c) {
  return fmt::format("UNet, widths {}, {} blocks a level, {}x{}x{}{}",
                     fmt::join(c.block_out_channels, "/"), c.layers_per_block, c.sample_size,
                     c.sample_size, c.in_channels,
                     c.num_class_embeds > 0
                         ? fmt::format(", {} labels, the empty one included", c.num_class_embeds)
                         : "");
}

void add_hashes(const CheckpointHash& hash, Facts& f) {
  const bool ema = !hash.parameters.empty() && !hash.parameters[0].ema.empty();
  Table t(ema ? std::vector<std::string>{"parameter", "shape", "weights", "average"}
              : std::vector<std::string>{"parameter", "shape", "weights"});
  for (const ParameterHash& p : hash.parameters) {
    std::vector<std::string> row = {p.name, p.shape.str(), p.master};
    Json j = {{"shape", p.shape.dims()}, {"weights", p.master}};
    if (ema) {
      row.push_back(p.ema);
      j["average"] = p.ema;
    }
    t.row(row);
    f.json["parameters"][p.name] = j;
  }
  f.add("hash", "hash", hash.state + " (all of the state)", hash.state);
  f.tables(t.str());
}

/// Weights alone that came from a model folder do not know how they were trained; their
/// configuration has defaults there.
void add_updates(const CheckpointInfo& info, const CheckpointContents& contents,
                 const TrainConfig& config, Facts& f) {
  const auto& buffers = contents.buffers;
  const bool resumable = std::find(buffers.begin(), buffers.end(), "m") != buffers.end();
  if (!resumable && info.update == 0)
    return f.add("update", "update", "not recorded (weights alone)", nullptr);
  f.count("update", info.update);
  f.add("of updates", "updates", format_count(config.run.updates), config.run.updates);
}

void add_verified(const fs::path& checkpoint, Facts& f) {
  verify_checkpoint(checkpoint);
  f.add("verified", "verified", "every checksum agrees", true);
  const NotFinite bad = count_not_finite(checkpoint);
  f.add("not finite", "not_finite",
        format_count(bad.count) + (bad.count > 0 ? ", first in the " + bad.first : ""), bad.count);
}

void describe_checkpoint(const Options& o, const fs::path& path, Facts& f) {
  const CheckpointInfo info = read_checkpoint_info(path);
  const CheckpointContents contents = list_checkpoint(path);
  const TrainConfig config = parse_train_config(info.config, path.string());
  add_file(f, "checkpoint", path);
  f.add("task", info.task);
  add_updates(info, contents, config, f);
  f.add("network", widths(config.model));
  f.count("tensors", int64_t(contents.parameters.size()));
  f.add("parameters", "parameter_count", format_count(elements(contents.parameters)),
        elements(contents.parameters));
  f.add("buffers", "buffers", fmt::format("{}", fmt::join(contents.buffers, ", ")),
        contents.buffers);
  f.add("data", "data",
        info.data_fingerprint.empty() ? "not recorded" : "fingerprint " + info.data_fingerprint,
        info.data_fingerprint);
  for (const auto& [name, value] : info.numbers)
    f.add(name, name, fmt::format("{:.6g}", value), value);
  if (o.verify) add_verified(path, f);
  if (o.hash) return add_hashes(hash_checkpoint(path), f);
  if (!o.tensors) return add_blocks(contents.parameters, f);
  Table t({"parameter", "shape"});
  for (const auto& [name, shape] : contents.parameters) {
    t.row({name, shape.str()});
    f.json["shapes"][name] = shape.dims();
  }
  f.tables(t.str());
}

/// One row a tensor, with its hash and with values that are not finite where asked for.
void add_tensors(const Options& o, const SafetensorsModel& model, Facts& f) {
  std::vector<std::string> header = {"tensor", "type", "shape"};
  if (o.hash) header.emplace_back("hash");
  if (o.verify) header.emplace_back("not finite");
  Table t(header);
  Hasher all;
  for (const SafetensorsEntry* e : model.entries()) {
    std::vector<std::string> row = {e->name, e->dtype, e->shape.str()};
    Json j = {{"dtype", e->dtype}, {"shape", e->shape.dims()}};
    if (o.hash) {
      j["hash"] = row.emplace_back(hash_hex(e->bytes));
      all.add(fmt::format("{} {} {}\n", e->name, e->dtype, e->shape));
      all.add(e->bytes);
    }
    if (o.verify) {
      j["not_finite"] = count_non_finite(*e);
      row.push_back(format_count(count_non_finite(*e)));
    }
    t.row(row);
    f.json["tensors"][e->name] = j;
  }
  if (o.hash) f.add("hash", "hash", all.hex() + " (of all)", all.hex());
  f.tables(t.str());
}

void add_weights(const Options& o, const SafetensorsModel& model, Facts& f) {
  std::vector<std::pair<std::string, Shape>> tensors;
  std::map<std::string, int64_t> types;
  int64_t bad = 0;
  for (const SafetensorsEntry* e : model.entries()) {
    tensors.emplace_back(e->name, e->shape);
    ++types[e->dtype];
    if (o.verify) bad += count_non_finite(*e);
  }
  std::string type_text;
  for (const auto& [type, n] : types)
    type_text += fmt::format("{}{} of {}", type_text.empty() ? "" : ", ", n, type);
  f.add("tensors", "tensor_count",
        tensors.empty() ? "0" : fmt::format("{} ({})", tensors.size(), type_text), tensors.size());
  f.add("values", "value_count", format_count(elements(tensors)), elements(tensors));
  for (const SafetensorsFile& file : model.files())
    for (const auto& [key, value] : file.metadata()) {
      f.table.row({"metadata " + key, value});
      f.json["metadata"][key] = value;
    }
  if (o.verify) f.add("not finite", "not_finite", format_count(bad), bad);
  if (o.hash || o.tensors)
    add_tensors(o, model, f);
  else
    add_blocks(tensors, f);
}

void describe_safetensors(const Options& o, Facts& f) {
  const SafetensorsModel model = SafetensorsModel::open(o.path);
  add_file(f, model.files().size() == 1 ? "safetensors" : "safetensors, sharded", o.path);
  add_weights(o, model, f);
}

void describe_model_folder(const Options& o, Facts& f) {
  const fs::path folder = network_folder(o.path);
  f.add("kind", "model folder");
  f.add("folder", folder.string());
  f.add("network", widths(read_unet_config(folder / "config.json")));
  const SafetensorsModel model = SafetensorsModel::open(weights_of(folder));
  add_weights(o, model, f);
}

// ---- pictures

void describe_png(const Options& o, Facts& f) {
  const std::vector<std::byte> bytes = read_file(o.path);
  const Image image = decode_image(bytes, o.path);
  add_file(f, "PNG", o.path);
  f.add("image size", "shape",
        fmt::format("{} x {}, {} channel{}", image.width, image.height, image.channels,
                    image.channels == 1 ? "" : "s"),
        {image.height, image.width, image.channels});
  if (o.hash) {
    const std::string hash = hash_hex(std::as_bytes(std::span(image.pixels)));
    f.add("hash", "hash", hash + " (of the pixels)", hash);
  }
  for (const auto& [key, value] : read_png_text(bytes, o.path)) {
    f.table.row({"text " + key, value});
    f.json["text"][key] = value;
  }
}

void describe_run(const Options& o, Facts& f) {
  const fs::path checkpoint = resolve_model(o.path);
  f.add("run", o.path);
  describe_checkpoint(o, checkpoint, f);
}

Facts facts_of(const Options& o) {
  Facts f;
  switch (kind_of(o.path, "info")) {
    case FileKind::data_set:
      describe_data(o, f);
      break;
    case FileKind::checkpoint:
      describe_checkpoint(o, o.path, f);
      break;
    case FileKind::safetensors:
      describe_safetensors(o, f);
      break;
    case FileKind::model_folder:
      describe_model_folder(o, f);
      break;
    case FileKind::run_folder:
      describe_run(o, f);
      break;
    case FileKind::png:
      describe_png(o, f);
      break;
  }
  return f;
}

}  // namespace

void add_info(CLI::App& app) {
  CLI::App* cmd =
      app.add_subcommand("info", "what a data set, checkpoint, safetensors file or PNG holds");
  auto o = std::make_shared<Options>();
  cmd->add_option("FILE", o->path,
                  "data set, checkpoint, safetensors file or index, PNG; or the folder of a run "
                  "(its newest checkpoint) or of a model")
      ->required();
  cmd->add_flag("--tensors", o->tensors, "every tensor instead of sums by block");
  cmd->add_flag("--hash", o->hash,
                "XXH3-128 of each parameter and of all; of a data set its fingerprint");
  cmd->add_flag("--verify", o->verify,
                "read every byte: checksums, the data set's fingerprint, values that are not "
                "finite");
  cmd->add_flag("--json", o->json, "one JSON object instead of tables");
  cmd->callback([o] {
    const Facts f = facts_of(*o);
    print(o->json ? f.json.dump(2, ' ', false, Json::error_handler_t::replace)
                  : f.table.str() + f.more);
  });
}

}  // namespace noisette::commands
