// The model folder of diffusers: what is read is what is written, and what does not fit is refused
// with the reason.
#include <nlohmann/json.hpp>

#include "tests/io/files.h"
#include "tests/io/full_disk.h"
#include "tests/unet/small_unet.h"

namespace noisette {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using test::error_of;
using test::Folder;
using testing_support::fixture_path;
using testing_support::values_of;
using unet_test::Model;
using unet_test::small_config;
using Weights = ParameterArena::Weights;

const char* const kWeights = "diffusion_pytorch_model.safetensors";

class RoundTrip : public testing::TestWithParam<std::string> {};

TEST_P(RoundTrip, WritesTheBytesThatDiffusersWrote) {
  const Model m(GetParam(), {.trainable = false});
  const Folder folder;
  write_unet_folder(folder / "out", m.config, m.arena, Weights::master);
  EXPECT_EQ(test::get(folder / "out" / kWeights), test::get(fixture_path(GetParam()) / kWeights));
  const UNetConfig again = read_unet_config(folder / "out" / "config.json");
  EXPECT_EQ(unet_config_json(again), unet_config_json(m.config));
  // Every field that diffusers writes, with the value it had; sizes of two numbers become the
  // larger one.
  const Json theirs = Json::parse(test::get(fixture_path(GetParam()) / "config.json")),
             ours = Json::parse(test::get(folder / "out" / "config.json"));
  for (const auto& [key, value] : theirs.items()) {
    if (key == "num_train_timesteps" || (key == "sample_size" && value.is_array())) continue;
    ASSERT_TRUE(ours.contains(key)) << key;
    EXPECT_EQ(ours[key], value) << key;
  }
}

INSTANTIATE_TEST_SUITE_P(Fixtures, RoundTrip,
                         testing::Values("unet_paper", "unet_class", "unet_rectangle"),
                         [](const auto& info) { return info.param; });

TEST(UNetFolder, WritesTheAverageWhenAsked) {
  Model m(small_config(), {.ema = true});
  fill(m.arena.ema(), 0.5);
  const Folder folder;
  write_unet_folder(folder / "a", m.config, m.arena, Weights::ema);
  Model back(small_config(), {.ema = true});
  read_weights(SafetensorsModel::open(folder / "a" / kWeights), back.arena);
  for (const auto& e : back.arena.entries())
    for (const double v : values_of(ParameterArena::view(back.arena.master(), e)))
      EXPECT_EQ(v, 0.5);
  EXPECT_EQ(values_of(back.arena.ema()), values_of(back.arena.master()));
}

/// Rewrites the weights of a fixture with `change` applied to the list of entries.
template <class F>
fs::path changed_weights(const Folder& folder, F&& change) {
  const auto file = SafetensorsFile::open(fixture_path("unet_class") / kWeights);
  std::vector<SafetensorsEntry> entries = file.entries();
  change(entries);
  const fs::path path = folder / "changed.safetensors";
  write_safetensors(path, entries, {{"format", "pt"}});
  return path;
}

TEST(UNetFolder, ReadsHalfAndDoublePrecision) {
  const Model want("unet_class", {.trainable = false});
  for (const char* type : {"BF16", "F16", "F64"}) {
    const Folder folder;
    std::vector<std::vector<std::byte>> memory;
    const auto path = changed_weights(folder, [&](auto& entries) {
      for (SafetensorsEntry& e : entries) {
        const std::vector<float> values = as_f32(e);
        const std::string name = type;
        const size_t width = name == "F64" ? 8 : 2;
        memory.emplace_back(values.size() * width);
        for (size_t i = 0; i < values.size(); ++i) {
          const double wide = values[i];
          const _Float16 half = _Float16(values[i]);
          const bfloat16 low(values[i]);
          const void* from = name == "F64"   ? static_cast<const void*>(&wide)
                             : name == "F16" ? static_cast<const void*>(&half)
                                             : static_cast<const void*>(&low);
          std::memcpy(memory.back().data() + i * width, from, width);
        }
        e.dtype = type;
      }
      for (size_t i = 0; i < entries.size(); ++i) entries[i].bytes = memory[i];
    });
    Model m(want.config, {.trainable = false});
    read_weights(SafetensorsModel::open(path), m.arena);
    const auto got = to_vector<float>(m.arena.master()),
               all = to_vector<float>(want.arena.master());
    for (size_t i = 0; i < all.size(); ++i) {
      const float rounded = std::string(type) == "F16"    ? float(_Float16(all[i]))
                            : std::string(type) == "BF16" ? float(bfloat16(all[i]))
                                                          : all[i];
      ASSERT_EQ(got[i], rounded) << type << " " << i;
    }
  }
}

TEST(UNetFolder, WeightsThatDoNotFitAreRefusedWithEveryReason) {
  const Folder folder;
  Model m("unet_class", {.trainable = false});
  const auto before = values_of(m.arena.master());
  const auto error = [&](auto&& change) {
    const auto path = changed_weights(folder, change);
    return error_of([&] { read_weights(SafetensorsModel::open(path), m.arena); });
  };
  const auto drop = [](auto& entries, const std::string& name) {
    std::erase_if(entries, [&](const SafetensorsEntry& e) { return e.name == name; });
  };
  EXPECT_CONTAINS(error([&](auto& e) { drop(e, "conv_in.bias"); }),
                  "missing from the file: conv_in.bias");
  EXPECT_CONTAINS(error([](auto& e) {
                    e.push_back(e.front());
                    e.back().name = "lora.weight";
                  }),
                  "not in the model: lora.weight");
  EXPECT_CONTAINS(error([](auto& entries) {
                    for (SafetensorsEntry& e : entries)
                      if (e.name == "conv_out.weight") e.shape = {16, 1, 3, 3};
                  }),
                  "conv_out.weight is [16, 1, 3, 3] in the file and [1, 16, 3, 3] in the model");
  EXPECT_CONTAINS(error([](auto& entries) { entries.resize(1); }), "; and ");
  EXPECT_CONTAINS(error([](auto& entries) {
                    for (SafetensorsEntry& e : entries)
                      if (e.name == "conv_in.bias") e.dtype = "I32";
                  }),
                  "tensor 'conv_in.bias' is I32; wanted F32, F16, BF16 or F64");
  EXPECT_EQ(values_of(m.arena.master()), before);  // nothing of a bad file is taken
}

TEST(UNetFolder, ConfigurationsOfOtherNetworksAreRefusedWithTheReason) {
  const Folder folder;
  const Json good = Json::parse(test::get(fixture_path("unet_class") / "config.json"));
  const auto error = [&](const char* key, const Json& value) {
    Json json = good;
    json[key] = value;
    test::put(folder / "config.json", json.dump());
    return error_of([&] { read_unet_config(folder / "config.json"); });
  };
  EXPECT_CONTAINS(error("block_out_chanels", {1, 2}), "unknown key 'block_out_chanels' = [1,2]");
  EXPECT_CONTAINS(error("act_fn", "gelu"), "act_fn = \"gelu\" is a network that noisette does not");
  EXPECT_CONTAINS(error("_class_name", "UNet2DConditionModel"), "describes a UNet2DConditionModel");
  EXPECT_CONTAINS(error("layers_per_block", 1.5), "'layers_per_block' is 1.5");
  EXPECT_CONTAINS(error("layers_per_block", true), "'layers_per_block' is true");
  EXPECT_CONTAINS(error("layers_per_block", 0), "layers_per_block must be from 1 to 1000; got 0");
  EXPECT_CONTAINS(error("norm_num_groups", 0), "norm_num_groups must be from 1");
  EXPECT_CONTAINS(error("norm_num_groups", 7), "multiples of norm_num_groups; got 16 with 7");
  EXPECT_CONTAINS(error("attention_head_dim", 0), "attention_head_dim must be from 1");
  EXPECT_CONTAINS(error("attention_head_dim", 5), "multiples of attention_head_dim; got 16 with 5");
  EXPECT_CONTAINS(error("in_channels", -3), "in_channels must be from 1");
  EXPECT_CONTAINS(error("in_channels", int64_t(1) << 40), "in_channels must be from 1");
  EXPECT_CONTAINS(error("block_out_channels", Json::array()), "must be");
  EXPECT_CONTAINS(error("norm_eps", 0), "norm_eps must be in (0, 1]; got 0");
  EXPECT_CONTAINS(error("sample_size", {8, 8, 8}), "one number or two; got [8,8,8]");
  EXPECT_CONTAINS(error("down_block_types", {"DownBlock2D", "AttnDownBlock2D"}), "mirrored");
  EXPECT_CONTAINS(error("up_block_types", {"UpBlock2D"}), "one for each of 2 levels");
  test::put(folder / "config.json", "{ not json");
  EXPECT_CONTAINS(error_of([&] { read_unet_config(folder / "config.json"); }),
                  "is not a JSON object");
  EXPECT_CONTAINS(error_of([&] { read_unet_config(folder / "none.json"); }), "none.json");
}

TEST(UNetFolder, WritesIntoNoFolderThatIsInUse) {
  const Model m(small_config());
  const Folder folder;
  test::put(folder / "mine.txt", "precious");
  EXPECT_CONTAINS(
      error_of([&] { write_unet_folder(folder.path(), m.config, m.arena, Weights::master); }),
      "exists and is not an empty folder");
  EXPECT_EQ(folder.entries(), 1);
  EXPECT_CONTAINS(
      error_of([&] { write_unet_folder(folder / "mine.txt", m.config, m.arena, Weights::master); }),
      "exists and is not an empty folder");
  EXPECT_EQ(test::get(folder / "mine.txt"), "precious");
}

TEST(UNetFolder, AFailureLeavesNothingBehind) {
  const Model m(small_config());
  const Folder folder;
  {
    const test::FullDisk full(20'000);  // room for config.json, not for the weights
    EXPECT_NE(error_of([&] {
                write_unet_folder(folder / "new" / "deep", m.config, m.arena, Weights::master);
              }),
              "");
    fs::create_directory(folder / "empty");
    EXPECT_NE(
        error_of([&] { write_unet_folder(folder / "empty", m.config, m.arena, Weights::master); }),
        "");
  }
  EXPECT_FALSE(fs::exists(folder / "new"));
  EXPECT_TRUE(fs::is_empty(folder / "empty"));
  EXPECT_CONTAINS(
      error_of([&] { write_unet_folder(folder / "a", m.config, m.arena, Weights::ema); }),
      "keeps none");
  test::put(folder / "file", "x");
  EXPECT_CONTAINS(error_of([&] {
                    write_unet_folder(folder / "file" / "b", m.config, m.arena, Weights::master);
                  }),
                  "cannot make the folder");
  EXPECT_EQ(folder.entries(), 2);
}

}  // namespace
}  // namespace noisette
