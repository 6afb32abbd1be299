/** One live control per parameter, chosen by its JSON Schema. Every control is a labelled field with room for a problem. */

import { ChoiceControl } from "./control-choice.js";
import { PictureControl } from "./control-picture.js";
import { PromptControl } from "./control-prompt.js";
import { SeedControl } from "./control-seed.js";
import { SliderControl } from "./control-slider.js";
import { StyleControl } from "./control-style.js";
import { TextControl } from "./control-text.js";
import { WeightsControl } from "./control-weights.js";

/** @typedef {import("./api.js").ParameterSchema} ParameterSchema */

/**
 * @typedef {object} Control
 * @property {HTMLElement} element
 * @property {(value: unknown) => void} show shows a value without reporting it
 * @property {(problem: string) => void} complain shows why the value was refused; empty takes it back
 */

/** Seeds go beyond what a slider can hit. */
const SLIDER_STEPS = 1000;

/**
 * @param {string} name @param {ParameterSchema} schema @param {(value: unknown) => void} onInput
 * @returns {Control | null} null for a parameter this page knows no control for
 */
export function controlOf(name, schema, onInput) {
  const styles = schema.oneOf?.find((one) => Array.isArray(one.enum))?.enum;
  if (styles) return new StyleControl(name, schema, styles, onInput);
  if (schema.oneOf?.some((one) => one.type === "string")) return new PromptControl(name, schema, onInput);
  if (schema.type === "object" && schema.properties) return new WeightsControl(name, schema, schema.properties, onInput);
  if (schema.enum) return new ChoiceControl(name, schema, schema.enum, onInput);
  const span = (schema.maximum ?? Infinity) - (schema.minimum ?? -Infinity);
  if (schema.type === "integer" && span > SLIDER_STEPS) return new SeedControl(name, schema, onInput);
  if ((schema.type === "number" || schema.type === "integer") && Number.isFinite(span)) return new SliderControl(name, schema, onInput);
  if (schema.format === "data-url") return new PictureControl(name, schema, onInput);
  if (schema.type === "string") return new TextControl(name, schema, onInput);
  return null;
}
