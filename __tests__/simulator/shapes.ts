import type { Span, Version } from './profiles.ts';
import { within } from './profiles.ts';

export type Shape =
  | { type: 'string'; nullable?: true; pattern?: RegExp; longest?: number; values?: Record<string, Span> }
  | { type: 'time'; nullable?: true }
  | { type: 'integer'; nullable?: true; least?: number; most?: number }
  | { type: 'boolean'; nullable?: true }
  | { type: 'list'; nullable?: true; items: Shape }
  | { type: 'object'; nullable?: true; fields: Record<string, Field> }
  | { type: 'either'; nullable?: true; shapes: Shape[] };

export type Field = Shape & Span & { required?: true };

export type ObjectShape = Extract<Shape, { type: 'object' }>;

export const text: Shape = { type: 'string' };
export const time: Shape = { type: 'time' };
export const timeOrNull: Shape = { type: 'time', nullable: true };
export const integer: Shape = { type: 'integer' };
export const flag: Shape = { type: 'boolean' };
export const flagOrNull: Shape = { type: 'boolean', nullable: true };
export const upTo = (longest: number): Shape => ({ type: 'string', longest });
export const object = (fields: Record<string, Field>): ObjectShape => ({ type: 'object', fields });
export const list = (items: Shape): Shape => ({ type: 'list', items });
export const required = (shape: Shape, span: Span = {}): Field => ({ ...shape, ...span, required: true });

/**
 * `breach`: the client is wrong in every version. Otherwise only this version refuses it, which no client can foresee.
 */
export interface Finding {
  breach: boolean;
  text: string;
}

export const breach = (text: string): Finding => ({ breach: true, text });

function checkString(shape: Extract<Shape, { type: 'string' }>, value: string, place: Place): Finding[] {
  const { where, version } = place;
  const found: Finding[] = [];
  if (shape.pattern && !shape.pattern.test(value)) found.push(breach(`${where} does not match ${shape.pattern}`));
  if (shape.longest !== undefined && value.length > shape.longest)
    found.push(breach(`${where} is longer than ${shape.longest} characters`));
  const span = shape.values?.[value];
  if (shape.values && !span) found.push(breach(`${where} is none of ${Object.keys(shape.values).join(', ')}`));
  else if (span && !within(version, span))
    found.push({ breach: false, text: `${where} cannot be ${value} in ${version}` });
  return found;
}

export interface Place {
  where: string;
  version: Version;
}

function checkObject(shape: ObjectShape, value: Record<string, unknown>, { where, version }: Place): Finding[] {
  const found: Finding[] = [];
  for (const name of Object.keys(value)) {
    const field = Object.hasOwn(shape.fields, name) ? shape.fields[name] : undefined;
    if (!field) found.push(breach(`${where} has the unknown field ${JSON.stringify(name)}`));
    else if (!within(version, field))
      found.push({ breach: false, text: `${where} has the field ${name}, which ${version} does not know` });
    else found.push(...check(field, value[name], { where: `${where}.${name}`, version }));
  }
  for (const [name, field] of Object.entries(shape.fields)) {
    if (field.required && within(version, field) && value[name] === undefined)
      found.push(breach(`${where} lacks the field ${name}`));
  }
  return found;
}

const timePattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

function checkInteger(shape: Extract<Shape, { type: 'integer' }>, value: unknown, where: string): Finding[] {
  if (!Number.isInteger(value)) return [breach(`${where} is not an integer`)];
  const number = value as number;
  const tooSmall = shape.least !== undefined && number < shape.least;
  const tooLarge = shape.most !== undefined && number > shape.most;
  return tooSmall || tooLarge ? [breach(`${where} is out of range`)] : [];
}

/** The problems with a value. */
export function check(shape: Shape, value: unknown, place: Place): Finding[] {
  const { where, version } = place;
  if (value === null) return shape.nullable ? [] : [breach(`${where} is null`)];
  switch (shape.type) {
    case 'string':
      return typeof value === 'string' ? checkString(shape, value, place) : [breach(`${where} is not a string`)];
    case 'time':
      return typeof value === 'string' && timePattern.test(value) ? [] : [breach(`${where} is not a date and time`)];
    case 'integer':
      return checkInteger(shape, value, where);
    case 'boolean':
      return typeof value === 'boolean' ? [] : [breach(`${where} is not a boolean`)];
    case 'list':
      if (!Array.isArray(value)) return [breach(`${where} is not a list`)];
      return value.flatMap((item, index) => check(shape.items, item, { where: `${where}[${index}]`, version }));
    case 'object':
      if (typeof value !== 'object' || Array.isArray(value)) return [breach(`${where} is not an object`)];
      return checkObject(shape, value as Record<string, unknown>, place);
    case 'either': {
      const attempts = shape.shapes.map((one) => check(one, value, place));
      return attempts.find((found) => found.length === 0) ?? attempts[0] ?? [];
    }
  }
}
